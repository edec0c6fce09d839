"""SQLAlchemy's ORM over SQL over HTTP: `python sqlalchemy_orm.py URL`."""

import sys
from datetime import datetime

import libsql_experimental
from checks import BIG, BYTES, ROWS, fails, run
from sqlalchemy import (
    BigInteger,
    Dialect,
    ForeignKey,
    TypeDecorator,
    create_engine,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

# The driver lacks this name of PEP 249, for which SQLAlchemy asks where a column holds bytes.
libsql_experimental.Binary = bytes

secure = sys.argv[1].startswith("https:")
address = sys.argv[1].partition("://")[2]
engine = create_engine(f"sqlite+libsql://{address}?secure={str(secure).lower()}")


class Long(TypeDecorator[int]):
    """An integer of 64 bits: the driver sends one beyond 32 bits as a float, but leaves text as it is."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "alchemy_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.title")


class Book(Base):
    __tablename__ = "alchemy_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    pages: Mapped[int | None] = mapped_column(Long)
    cover: Mapped[bytes | None]
    printed: Mapped[datetime | None]
    author_id: Mapped[int] = mapped_column(ForeignKey("alchemy_author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def count() -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Book)) or 0


def tables() -> None:
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)


def crud() -> None:
    with Session(engine) as session:
        session.add(Author(id=1, email="ada@example.com", books=[Book(title="B"), Book(title="A")]))
        session.commit()
        author = session.scalars(select(Author)).one()
        assert [book.title for book in author.books] == ["A", "B"]
        author.books[0].title = "C"
        session.commit()
        session.execute(update(Book).where(Book.title == "B").values(title="D"))
        session.delete(author.books[1])
        session.commit()
    assert count() == 1


def transaction() -> None:
    with Session(engine) as session, session.begin():
        session.add(Author(id=50, email="b@example.com"))
        session.flush()
        session.add(Book(title="E", author_id=50))
    assert count() == 2


def rollback() -> None:
    with Session(engine) as session:
        session.execute(delete(Book))
        session.rollback()
    assert count() == 2


def _add(row: Base) -> None:
    with Session(engine) as session:
        session.add(row)
        session.commit()


def unique() -> None:
    fails(lambda: _add(Author(email="b@example.com")), "UNIQUE constraint failed")


def foreign_key() -> None:
    fails(lambda: _add(Book(title="F", author_id=99)), "FOREIGN KEY constraint failed")


def values() -> None:
    printed = datetime(2001, 2, 3, 4, 5, 6, 789000)
    _add(Book(id=70, title="G", pages=BIG, cover=BYTES, printed=printed, author_id=50))
    _add(Book(id=71, title="H", author_id=50))
    with Session(engine) as session:
        full, empty = session.scalars(select(Book).where(Book.id >= 70).order_by(Book.id)).all()
        assert (full.pages, full.cover, full.printed) == (BIG, BYTES, printed)
        assert (empty.pages, empty.cover, empty.printed) == (None, None, None)


def rows() -> None:
    with Session(engine) as session:
        given = [{"title": f"Row {index}", "author_id": 50} for index in range(ROWS)]
        for start in range(0, ROWS, 1000):
            session.execute(insert(Book).values(given[start : start + 1000]))  # one statement
        session.commit()
        found = session.scalars(select(Book).where(Book.title.like("Row %")).order_by(Book.id)).all()
        assert len(found) == ROWS
        assert found[-1].title == f"Row {ROWS - 1}"
    engine.dispose()
    Base.metadata.drop_all(engine)


run([tables, crud, transaction, rollback, unique, foreign_key, values, rows])
