"""A blog: reading in every way, nested writes over one-to-one, one-to-many and many-to-many relations."""

from random import Random

from .protocol import (
    ALL,
    Case,
    Requests,
    ascending,
    counts,
    date_time,
    descending,
    everything,
    execute_raw,
    field_ref,
    pick,
    query_raw,
    sub,
)

CASES: list[Case] = []
user, profile, post, tag, comment = (
    Requests(model, CASES) for model in ("User", "Profile", "Post", "Tag", "Comment")
)
TIMES = {
    "createdAt": date_time("2024-03-01T10:00:00.000Z"),
    "updatedAt": date_time("2024-03-02T10:00:00.000Z"),
}
ROLES = ("READER", "EDITOR", "ADMIN")
ID = pick("id")
IDS = sub(ID, orderBy=ascending("id"))


def _seed() -> None:
    random = Random(7)
    user.create_many(
        "seed",
        [
            {
                "id": n,
                "email": f"user{n}@example.org",
                "name": None if n % 5 == 0 else f"User {n}",
                "role": ROLES[n % 3],
                "age": None if n % 7 == 0 else 18 + n,
                "createdAt": date_time(f"2024-01-{n:02d}T00:00:00.000Z"),
            }
            for n in range(1, 31)
        ],
    )
    profile.create_many("seed", [{"id": n, "bio": f"Bio of {n}", "userId": n} for n in range(1, 21)])
    post.create_many(
        "seed",
        [
            {
                "id": n,
                "title": f"Post {n}",
                "content": None if n % 4 == 0 else f"All about {n % 10}",
                "published": n % 3 != 0,
                "views": random.randrange(1000),
                "rating": None if n % 6 == 0 else random.randrange(50) / 10,
                "createdAt": date_time(f"2024-02-{n % 28 + 1:02d}T08:30:00.{n:03d}Z"),
                "updatedAt": date_time("2024-03-01T00:00:00.000Z"),
                "authorId": None if n % 11 == 0 else random.randrange(1, 25),
            }
            for n in range(1, 121)
        ],
    )
    tag.create_many("seed", [{"id": n, "name": f"tag{n:02d}"} for n in range(1, 13)])
    comment.create_many(
        "seed",
        [
            {
                "id": n,
                "text": f"Comment {n}",
                "postId": random.randrange(1, 60),
                "userId": random.randrange(1, 31),
            }
            for n in range(1, 151)
        ],
    )
    for number in range(1, 41):
        post.update(
            f"link post {number}",
            {"id": number},
            {
                "updatedAt": TIMES["updatedAt"],
                "tags": {"connect": [{"id": tag_id} for tag_id in random.sample(range(1, 13), 3)]},
                "likedBy": {"connect": [{"id": user_id} for user_id in random.sample(range(1, 31), 2)]},
            },
            ID,
        )


def _find() -> None:
    user.find_unique("by id", where={"id": 5})
    user.find_unique("by another unique field", where={"email": "user9@example.org"})
    user.find_unique("missing", where={"id": 99999})
    user.find_unique("with a further condition that holds", ID, where={"id": 3, "role": "READER"})
    user.find_unique("with a further condition that fails", ID, where={"id": 3, "role": "ADMIN"})
    user.find_unique("with operators beside the key", ID, where={"id": 3, "OR": [{"age": 21}, {"name": "x"}]})
    post.find_unique("by a compound key", where={"authorId_title": {"authorId": 1, "title": "Post 1"}})
    user.find_unique_or_throw("found", ID, where={"id": 5})
    user.find_unique_or_throw("missing", ID, where={"id": 99999})
    post.find_first("in order", where={"published": True}, orderBy=descending("views"))
    post.find_first("skip", ID, where={"published": True}, orderBy=descending("views", "id"), skip=3)
    post.find_first("from a cursor", ID, cursor={"id": 20}, orderBy=ascending("id"), skip=1)
    post.find_first("backwards", ID, take=-1, orderBy=ascending("id"))
    post.find_first("nothing", ID, where={"title": "no such title"})
    post.find_first_or_throw("found", ID, where={"views": {"gte": 0}}, orderBy=ascending("id"))
    post.find_first_or_throw("nothing", ID, where={"title": "no such title"})
    user.find_many("all")
    user.find_many("empty where", ID, where={})
    user.find_many("many values in", ID, where={"id": {"in": list(range(1, 2500))}}, orderBy=descending("id"))
    post.find_many("more values than bind variables", ID, where={"id": {"in": list(range(1, 40000, 2))}})


def _where() -> None:
    conditions = {
        "shorthand": {"title": "Post 3"},
        "AND as a list": {"AND": [{"published": True}, {"views": {"gt": 500}}]},
        "AND as an object": {"AND": {"published": True, "views": {"gt": 500}}},
        "empty AND": {"AND": []},
        "empty OR": {"OR": []},
        "OR": {"OR": [{"views": {"lt": 100}}, {"title": {"endsWith": "7"}}]},
        "NOT as an object": {"NOT": {"published": True}},
        "NOT as a list": {"NOT": [{"published": True}, {"views": {"lt": 500}}]},
        "nested logic": {
            "OR": [
                {"AND": [{"published": True}, {"NOT": {"views": {"lt": 900}}}]},
                {"NOT": {"OR": [{"id": {"gt": 5}}]}},
            ]
        },
        "not a value": {"authorId": {"not": 3}},
        "not null": {"content": {"not": None}},
        "null": {"content": None},
        "equals null": {"content": {"equals": None}},
        "not of a filter": {"views": {"not": {"gt": 200}}},
        "range": {"views": {"gte": 100, "lt": 300}},
        "in": {"views": {"in": [1, 2, 3, 500]}},
        "notIn": {"id": {"notIn": [1, 2, 3]}, "authorId": 4},
        "empty in": {"id": {"in": []}},
        "empty notIn": {"id": {"notIn": []}, "authorId": 4},
        "float": {"rating": {"gt": 4.5}},
        "float given as integer": {"rating": {"lte": 1}},
        "contains": {"content": {"contains": "about 4"}},
        "contains with wildcards": {"title": {"contains": "t_1%"}},
        "startsWith ignores ASCII case": {"title": {"startsWith": "POST 1"}},
        "endsWith": {"title": {"endsWith": "9"}},
        "string order": {"title": {"gt": "Post 98"}},
        "date range": {
            "createdAt": {
                "gte": date_time("2024-02-10T00:00:00.000Z"),
                "lt": date_time("2024-02-12T00:00:00.000Z"),
            }
        },
        "date with an offset": {"createdAt": {"gt": date_time("2024-02-28T10:30:00.100+02:00")}},
        "boolean not": {"published": {"not": True}},
        "field reference": {"views": {"lt": field_ref("authorId", "Post")}},
        "field reference in a list of operators": {"views": {"gt": field_ref("id", "Post"), "lt": 200}},
        "to-one": {"author": {"email": {"startsWith": "user1"}}},
        "to-one is": {"author": {"is": {"role": "ADMIN"}}},
        "to-one isNot": {"author": {"isNot": {"role": "ADMIN"}}},
        "to-one is null": {"author": {"is": None}},
        "to-one null": {"author": None},
        "to-one isNot null": {"author": {"isNot": None}, "views": {"gt": 800}},
        "to-one of a to-one": {"author": {"profile": {"bio": {"contains": "1"}}}},
        "some of many to many": {"tags": {"some": {"name": "tag01"}}},
        "none of many to many": {"tags": {"none": {"id": {"gt": 2}}}},
        "every of many to many": {"tags": {"every": {"id": {"lt": 8}}}, "id": {"lte": 40}},
        "some, whatever": {"tags": {"some": {}}},
        "none at all": {"comments": {"none": {}}},
        "two relations": {"tags": {"some": {"id": 3}}, "comments": {"some": {"userId": {"gt": 15}}}},
        "deep": {
            "author": {"is": {"posts": {"some": {"tags": {"some": {"name": {"in": ["tag02", "tag03"]}}}}}}}
        },
        "relation and its negation": {"NOT": {"comments": {"some": {"user": {"is": {"age": {"gt": 30}}}}}}},
    }
    for name, where in conditions.items():
        post.find_many(f"where {name}", ID, where=where, orderBy=ascending("id"))
    user.find_many("where enum", ID, where={"role": "ADMIN"})
    user.find_many("where enum in", ID, where={"role": {"in": ["ADMIN", "EDITOR"]}})
    user.find_many("where enum not", ID, where={"role": {"not": "ADMIN"}})
    user.find_many("where one-to-one is null", ID, where={"profile": None}, orderBy=ascending("id"))
    user.find_many(
        "where one-to-one", ID, where={"profile": {"isNot": {"bio": "Bio of 2"}}}, orderBy=ascending("id")
    )
    user.find_many(
        "where every", ID, where={"posts": {"every": {"published": True}}}, orderBy=ascending("id")
    )


def _order_and_page() -> None:
    orders = {
        "two fields": ascending("published", "id"),
        "one object": {"views": "desc"},
        "nulls first": [{"rating": {"sort": "desc", "nulls": "first"}}, {"id": "asc"}],
        "nulls last": [{"rating": {"sort": "asc", "nulls": "last"}}, {"id": "asc"}],
        "to-one field": [{"author": {"email": "desc"}}, {"id": "asc"}],
        "to-one of a to-one": [{"author": {"profile": {"bio": "asc"}}}, {"id": "desc"}],
        "count of many to many": [{"tags": {"_count": "desc"}}, {"id": "asc"}],
        "count of one to many": [{"comments": {"_count": "asc"}}, {"id": "desc"}],
        "count at a distance": [{"author": {"posts": {"_count": "desc"}}}, {"id": "asc"}],
    }
    for name, order in orders.items():
        post.find_many(f"order by {name}", ID, orderBy=order, take=15)
    pages = {
        "take": {"take": 3},
        "take nothing": {"take": 0},
        "skip": {"skip": 115},
        "skip and take": {"skip": 10, "take": 2},
        "take from the end": {"take": -3},
        "skip from the end": {"take": -3, "skip": 2},
        "cursor": {"cursor": {"id": 10}, "take": 3},
        "after the cursor": {"cursor": {"id": 10}, "take": 3, "skip": 1},
        "before the cursor": {"cursor": {"id": 10}, "take": -3},
        "before the cursor, skipping it": {"cursor": {"id": 10}, "take": -3, "skip": 1},
        "no such cursor": {"cursor": {"id": 4711}, "take": 3},
        "compound cursor": {"cursor": {"authorId_title": {"authorId": 1, "title": "Post 1"}}, "take": 3},
        "cursor with a filter": {"cursor": {"id": 10}, "take": 5, "where": {"published": True}},
    }
    for name, arguments in pages.items():
        post.find_many(f"page: {name}", ID, orderBy=ascending("id"), **arguments)
    by_views = [{"views": "desc"}, {"id": "asc"}]
    post.find_many(
        "page: cursor in another order", pick("id", "views"), cursor={"id": 10}, take=4, orderBy=by_views
    )
    post.find_many(
        "page: cursor in the order of a nullable field",
        pick("id", "rating"),
        cursor={"id": 12},
        take=4,
        orderBy=[{"rating": "asc"}, {"id": "asc"}],
    )
    post.find_many(
        "page: cursor in the order of a relation",
        ID,
        cursor={"id": 10},
        take=4,
        orderBy=[{"author": {"email": "asc"}}, {"id": "asc"}],
    )
    post.find_many("distinct", pick("id", "published"), distinct=["published"], orderBy=ascending("id"))
    post.find_many("distinct, one name", pick("id"), distinct="authorId", orderBy=ascending("id"))
    post.find_many(
        "distinct over two fields, paged",
        pick("id", "authorId", "published"),
        distinct=["authorId", "published"],
        orderBy=ascending("authorId", "published", "id"),
        skip=3,
        take=5,
    )
    user.find_many(
        "order by nulls, enum", ID, orderBy=[{"age": {"sort": "desc", "nulls": "last"}}, {"role": "asc"}]
    )


def _nested_reads() -> None:
    user.find_many(
        "to-many with order and take",
        pick("id", posts=sub(pick("id", "views"), orderBy=descending("views", "id"), take=2)),
        where={"id": {"lte": 6}},
    )
    nested = {
        "skip and take": {"skip": 1, "take": 2},
        "from the end": {"take": -2},
        "cursor": {"cursor": {"id": 30}, "take": 3},
        "cursor backwards": {"cursor": {"id": 60}, "take": -2, "skip": 1},
        "distinct": {"distinct": ["published"]},
        "distinct and take": {"distinct": ["published"], "take": 1},
        "filter": {"where": {"published": True, "tags": {"some": {}}}},
        "take nothing": {"take": 0},
    }
    for name, arguments in nested.items():
        user.find_many(
            f"nested {name}",
            pick("id", posts=sub(pick("id", "published"), orderBy=ascending("id"), **arguments)),
            where={"id": {"in": [1, 2, 3, 4, 30]}},
        )
    nested_tags = {
        "skip and take": {"skip": 1, "take": 1},
        "from the end": {"take": -2},
        "cursor": {"cursor": {"id": 6}, "take": 2},
        "cursor backwards": {"cursor": {"id": 8}, "take": -2},
        "distinct": {"distinct": ["name"]},
        "filter": {"where": {"name": {"gt": "tag05"}}},
    }
    for name, arguments in nested_tags.items():
        post.find_many(
            f"nested many to many {name}",
            pick("id", likedBy=IDS, tags=sub(pick("id", "name"), orderBy=descending("id"), **arguments)),
            where={"id": {"lt": 12}},
        )
    post.find_many(
        "to-one of a to-one", pick("id", author=sub(pick("email", profile=sub(pick("bio"))))), take=12
    )
    post.find_many(
        "four levels",
        pick(
            "id",
            tags=sub(pick("name", posts=sub(pick("id", author=sub(pick("id", liked=IDS))), take=2)), take=1),
        ),
        where={"id": {"lte": 5}},
        orderBy=ascending("id"),
    )
    user.find_many(
        "counts of relations",
        pick("id", _count=counts(posts=True, liked=True, comments=True)),
        orderBy=ascending("id"),
    )
    user.find_many(
        "counts of relations with a filter",
        pick(
            "id",
            _count=counts(posts=sub({}, where={"published": True}), liked=sub({}, where={"id": {"gt": 20}})),
        ),
        orderBy=ascending("id"),
    )
    user.find_many("only a count", {"_count": counts(posts=True)}, take=3)
    post.find_many("only a relation", {"author": sub(pick("name"))}, take=3)
    user.find_many(
        "counts beside nested counts",
        pick(
            "id",
            _count=counts(posts=True),
            posts=sub(pick("id", _count=counts(tags=True, likedBy=True)), take=2),
        ),
        where={"id": {"lte": 4}},
    )
    user.find_unique(
        "everything below",
        everything(profile=sub(), posts=sub(), liked=sub(), comments=sub()),
        where={"id": 8},
    )


def _aggregates() -> None:
    sums = {"_sum": sub(pick("views", "rating")), "_avg": sub(pick("views", "rating"))}
    extremes = {"_min": sub(pick("createdAt", "title", "views")), "_max": sub(pick("rating", "title", "id"))}
    post.aggregate("everything", {"_count": sub({**ALL, **pick("content", "rating")}), **sums, **extremes})
    post.aggregate("filtered", {"_count": sub(ALL), **sums}, where={"published": True})
    post.aggregate("of nothing", {"_count": sub(ALL), **sums, **extremes}, where={"id": -1})
    post.aggregate(
        "of a page", {"_count": sub(ALL), "_sum": sub(pick("id"))}, orderBy=ascending("id"), skip=5, take=10
    )
    post.aggregate(
        "from a cursor", {"_sum": sub(pick("id"))}, orderBy=ascending("id"), cursor={"id": 100}, take=5
    )
    post.aggregate("backwards", {"_sum": sub(pick("id"))}, orderBy=ascending("id"), take=-4)
    post.aggregate(
        "over a relation filter", {"_count": sub(ALL)}, where={"author": {"is": {"role": "ADMIN"}}}
    )
    post.group_by(
        "one field", pick("published", _count=sub(ALL)), by=["published"], orderBy=ascending("published")
    )
    post.group_by(
        "two fields",
        pick("published", "authorId", _max=sub(pick("views")), _count=sub(pick("rating"))),
        by=["authorId", "published"],
        orderBy=ascending("authorId", "published"),
    )
    post.group_by("by given as one name", pick("authorId"), by="authorId", orderBy={"authorId": "asc"})
    post.group_by(
        "having an aggregate",
        pick("authorId", _count=sub(ALL)),
        by=["authorId"],
        having={"views": {"_avg": {"gt": 450}}},
        orderBy=ascending("authorId"),
    )
    post.group_by(
        "having a count, ordered by it",
        pick("authorId", _count=sub(pick("id"))),
        by=["authorId"],
        having={"id": {"_count": {"gte": 5}}},
        orderBy=[{"_count": {"id": "desc"}}, {"authorId": "asc"}],
    )
    post.group_by(
        "having with logic",
        pick("authorId", _sum=sub(pick("views"))),
        by=["authorId"],
        having={
            "OR": [{"views": {"_sum": {"lt": 800}}}, {"NOT": {"authorId": {"lt": 20}}}],
            "authorId": {"not": None},
        },
        orderBy=ascending("authorId"),
    )
    post.group_by(
        "ordered by aggregates",
        pick("authorId"),
        by=["authorId"],
        orderBy=[{"_sum": {"views": "desc"}}, {"_max": {"id": "asc"}}],
        take=5,
        skip=1,
    )
    post.group_by(
        "filtered",
        pick("authorId"),
        by=["authorId"],
        where={"rating": {"gt": 4}},
        orderBy=ascending("authorId"),
    )
    user.group_by("by enum", pick("role", _avg=sub(pick("age"))), by=["role"], orderBy=ascending("role"))
    post.group_by(
        "having on a field not grouped by", pick("authorId"), by=["authorId"], having={"title": "x"}
    )
    post.group_by(
        "order by a field not grouped by", pick("authorId"), by=["authorId"], orderBy=ascending("title")
    )
    post.group_by("selecting a field not grouped by", pick("title"), by=["authorId"])
    post.group_by("take without order", pick("authorId"), by=["authorId"], take=2)


def _writes() -> None:
    tag.create("plain", name="fresh")
    tag.create("unique violation", name="fresh")
    tag.create("given id", id=100, name="hundred")
    tag.create("the next id", name="hundred and one")
    tag.create("missing field")
    user.create(
        "role and date",
        email="new@example.org",
        role="EDITOR",
        createdAt=date_time("2024-05-05T05:05:05.005Z"),
    )
    post.create("foreign key violation", title="orphan", authorId=424242, **TIMES)
    post.create("connect to nothing", title="orphan", author={"connect": {"id": 424242}}, **TIMES)
    post.create(
        "with everything nested",
        everything(author=sub(pick("email", profile=sub(pick("bio")))), tags=sub(orderBy=ascending("id"))),
        title="Nested",
        author={
            "create": {
                "email": "nested@example.org",
                "createdAt": TIMES["createdAt"],
                "profile": {"create": {"bio": "n"}},
            }
        },
        tags={
            "create": [{"name": "nested-1"}, {"name": "nested-2"}],
            "connect": [{"name": "tag01"}, {"id": 2}],
            "connectOrCreate": [
                {"where": {"name": "tag03"}, "create": {"name": "never"}},
                {"where": {"name": "nested-3"}, "create": {"name": "nested-3"}},
            ],
        },
        **TIMES,
    )
    user.create(
        "children by createMany",
        pick("email", posts=sub(pick("title"), orderBy=ascending("title"))),
        email="many@example.org",
        posts={"createMany": {"data": [{"title": "b", **TIMES}, {"title": "a", **TIMES}]}},
    )
    user.create(
        "nested unique violation rolls everything back",
        ID,
        email="rollback@example.org",
        posts={"create": [{"title": "same", **TIMES}, {"title": "same", **TIMES}]},
    )
    user.find_unique("after the rollback", ID, where={"email": "rollback@example.org"})
    profile.create("by parent's key", bio="mine", userId=25)
    profile.create("one-to-one taken", bio="mine too", userId=25)
    profile.create(
        "connect one-to-one",
        everything(user=sub(ID)),
        bio="of 26",
        user={"connect": {"email": "user26@example.org"}},
    )
    comment.create(
        "connectOrCreate of parents",
        pick("text", post=sub(pick("title")), user=sub(pick("email"))),
        text="both",
        post={"connectOrCreate": {"where": {"id": 1}, "create": {"title": "never", **TIMES}}},
        user={
            "connectOrCreate": {
                "where": {"email": "commenter@example.org"},
                "create": {"email": "commenter@example.org"},
            }
        },
    )

    post.update(
        "scalars", {"id": 7}, {"title": "Updated", "views": {"increment": 5}, "content": None, **TIMES}
    )
    post.update("arithmetic", {"id": 8}, {"views": {"multiply": 3}, "rating": {"divide": 2}, **TIMES})
    post.update("decrement and set", {"id": 9}, {"views": {"decrement": 1}, "title": {"set": "Set"}, **TIMES})
    post.update("no change", {"id": 10}, {"updatedAt": TIMES["updatedAt"]})
    post.update("missing", {"id": 777777}, {"title": "x"})
    post.update("with a condition that fails", {"id": 11, "published": None}, {"title": "x"})
    post.update(
        "with a condition on a relation", {"id": 12, "tags": {"some": {}}}, {"title": "Tagged", **TIMES}, ID
    )
    post.update("unique violation", {"id": 2}, {"authorId": 1, "title": "Post 1", **TIMES})
    user.update("the key itself", {"id": 30}, {"id": 300}, pick("id", comments=IDS))
    user.update(
        "children in every way",
        {"id": 3},
        {
            "name": {"set": None},
            "posts": {
                "create": [{"title": "Child", **TIMES}],
                "connect": [{"id": 50}],
                "updateMany": [
                    {"where": {"views": {"gt": 500}}, "data": {"views": 1, "updatedAt": TIMES["updatedAt"]}}
                ],
                "deleteMany": [{"title": {"startsWith": "Post 10"}}],
            },
        },
        pick("id", "name", posts=sub(pick("id", "title", "views"), orderBy=ascending("id"))),
    )
    user.update("set children", {"id": 4}, {"posts": {"set": [{"id": 1}, {"id": 2}]}}, pick("id", posts=IDS))
    user.update("set no children", {"id": 5}, {"posts": {"set": []}}, pick("id", posts=IDS))
    user.update(
        "disconnect a child", {"id": 4}, {"posts": {"disconnect": [{"id": 1}]}}, pick("id", posts=IDS)
    )
    user.update(
        "disconnect what is not connected",
        {"id": 4},
        {"posts": {"disconnect": [{"id": 60}]}},
        pick(posts=IDS),
    )
    user.update(
        "update a child",
        {"id": 4},
        {"posts": {"update": {"where": {"id": 2}, "data": {"title": "Two", **TIMES}}}},
        pick(posts=sub(pick("title"))),
    )
    user.update(
        "update a child of another",
        {"id": 4},
        {"posts": {"update": {"where": {"id": 90}, "data": {"title": "x"}}}},
        ID,
    )
    user.update("delete a child", {"id": 4}, {"posts": {"delete": [{"id": 2}]}}, pick("id", posts=IDS))
    user.update("delete a child of another", {"id": 4}, {"posts": {"delete": [{"id": 90}]}}, ID)
    user.update(
        "upsert children",
        {"id": 6},
        {
            "posts": {
                "upsert": [
                    {
                        "where": {"id": 999999},
                        "create": {"title": "Upserted", **TIMES},
                        "update": {"title": "x"},
                    },
                    {
                        "where": {"id": 999998},
                        "create": {"title": "Upserted too", **TIMES},
                        "update": {"title": "x"},
                    },
                ]
            }
        },
        pick(posts=sub(pick("title"), orderBy=ascending("id"))),
    )
    user.update("connect what is missing", {"id": 6}, {"posts": {"connect": [{"id": 4242}]}}, ID)
    user.update(
        "connect some that are missing", {"id": 6}, {"posts": {"connect": [{"id": 20}, {"id": 4242}]}}, ID
    )
    user.update("parent missing", {"id": 4242}, {"posts": {"create": [{"title": "x", **TIMES}]}}, ID)

    profiles = pick("id", profile=sub(pick("bio", "site")))
    user.update(
        "one-to-one create over another", {"id": 7}, {"profile": {"create": {"bio": "again"}}}, profiles
    )
    user.update(
        "one-to-one update",
        {"id": 8},
        {"profile": {"update": {"bio": "changed", "site": "x.example"}}},
        profiles,
    )
    user.update(
        "one-to-one update if",
        {"id": 8},
        {"profile": {"update": {"where": {"site": "y"}, "data": {"bio": "z"}}}},
        profiles,
    )
    user.update("one-to-one update missing", {"id": 29}, {"profile": {"update": {"bio": "x"}}}, profiles)
    user.update(
        "one-to-one upsert, there",
        {"id": 9},
        {"profile": {"upsert": {"create": {"bio": "c"}, "update": {"bio": "u"}}}},
        profiles,
    )
    user.update(
        "one-to-one upsert, not there",
        {"id": 27},
        {"profile": {"upsert": {"create": {"bio": "c"}, "update": {"bio": "u"}}}},
        profiles,
    )
    user.update("one-to-one connect", {"id": 28}, {"profile": {"connect": {"id": 10}}}, profiles)
    user.update(
        "one-to-one connectOrCreate",
        {"id": 29},
        {"profile": {"connectOrCreate": {"where": {"id": 77}, "create": {"bio": "made"}}}},
        profiles,
    )
    user.update("one-to-one delete", {"id": 11}, {"profile": {"delete": True}}, profiles)
    user.update("one-to-one delete missing", {"id": 11}, {"profile": {"delete": True}}, profiles)
    user.update("one-to-one delete if", {"id": 12}, {"profile": {"delete": {"bio": "other"}}}, profiles)

    tags = pick("id", tags=sub(pick("name"), orderBy=ascending("name")))
    post.update(
        "many to many set", {"id": 13}, {"tags": {"set": [{"id": 1}, {"name": "tag02"}]}, **TIMES}, tags
    )
    post.update("many to many set nothing", {"id": 14}, {"tags": {"set": []}, **TIMES}, tags)
    post.update("many to many disconnect", {"id": 13}, {"tags": {"disconnect": {"id": 1}}, **TIMES}, tags)
    post.update(
        "many to many disconnect what is not there",
        {"id": 13},
        {"tags": {"disconnect": [{"id": 999}]}, **TIMES},
        tags,
    )
    post.update(
        "many to many connect twice", {"id": 13}, {"tags": {"connect": [{"id": 5}, {"id": 5}]}, **TIMES}, tags
    )
    post.update(
        "many to many connect missing", {"id": 13}, {"tags": {"connect": [{"id": 999}]}, **TIMES}, tags
    )
    post.update(
        "many to many update",
        {"id": 13},
        {"tags": {"update": [{"where": {"id": 5}, "data": {"name": "five"}}]}, **TIMES},
        tags,
    )
    post.update(
        "many to many update not connected",
        {"id": 13},
        {"tags": {"update": [{"where": {"id": 6}, "data": {"name": "x"}}]}, **TIMES},
        tags,
    )
    post.update(
        "many to many updateMany",
        {"id": 13},
        {"tags": {"updateMany": [{"where": {"name": "five"}, "data": {"name": "5"}}]}, **TIMES},
        tags,
    )
    post.update(
        "many to many upsert",
        {"id": 13},
        {
            "tags": {"upsert": [{"where": {"name": "6"}, "create": {"name": "6"}, "update": {"name": "x"}}]},
            **TIMES,
        },
        tags,
    )
    post.update("many to many delete", {"id": 13}, {"tags": {"delete": [{"name": "6"}]}, **TIMES}, tags)
    post.update(
        "many to many deleteMany", {"id": 15}, {"tags": {"deleteMany": [{"id": {"gt": 50}}]}, **TIMES}, tags
    )
    post.update(
        "many to many delete not connected", {"id": 13}, {"tags": {"delete": [{"id": 7}]}, **TIMES}, tags
    )
    post.update(
        "parent connect",
        {"id": 16},
        {"author": {"connect": {"email": "user20@example.org"}}, **TIMES},
        pick("authorId"),
    )
    post.update("parent disconnect", {"id": 16}, {"author": {"disconnect": True}, **TIMES}, pick("authorId"))
    post.update(
        "parent disconnect if",
        {"id": 17},
        {"author": {"disconnect": {"role": "ADMIN"}}, **TIMES},
        pick("authorId"),
    )
    post.update(
        "parent update",
        {"id": 18},
        {"author": {"update": {"name": "Renamed"}}, **TIMES},
        pick(author=sub(pick("name"))),
    )
    post.update(
        "parent update when there is none", {"id": 16}, {"author": {"update": {"name": "x"}}, **TIMES}, ID
    )
    post.update(
        "parent upsert",
        {"id": 16},
        {"author": {"upsert": {"create": {"email": "up@example.org"}, "update": {"name": "x"}}}, **TIMES},
        pick(author=sub(pick("email"))),
    )

    user.upsert(
        "there",
        {"email": "user1@example.org"},
        {"email": "a@example.org"},
        {"name": "Upserted"},
        pick("id", "name"),
    )
    user.upsert(
        "not there",
        {"email": "a@example.org"},
        {"email": "a@example.org", "name": "A"},
        {"name": "B"},
        pick("name"),
    )
    user.upsert(
        "with another key",
        {"email": "b@example.org"},
        {"email": "c@example.org", "name": "C"},
        {"name": "D"},
        pick("name", "email"),
    )
    user.upsert(
        "violating in create",
        {"email": "d@example.org"},
        {"email": "a@example.org"},
        {"name": "D"},
        pick("name"),
    )
    tag.upsert("native", {"name": "native"}, {"name": "native"}, {"name": "native"}, pick("name"))
    tag.upsert("native again", {"name": "native"}, {"name": "native"}, {"name": "natively"}, pick("name"))
    user.upsert(
        "nested on both sides",
        {"email": "e@example.org"},
        {"email": "e@example.org", "posts": {"create": [{"title": "e1", **TIMES}, {"title": "e2", **TIMES}]}},
        {"posts": {"create": [{"title": "e3", **TIMES}]}},
        pick("email", posts=sub(pick("title"), orderBy=ascending("id"))),
    )
    user.upsert(
        "nested on both sides, again",
        {"email": "e@example.org"},
        {"email": "e@example.org", "posts": {"create": [{"title": "e1", **TIMES}]}},
        {"posts": {"create": [{"title": "e3", **TIMES}]}},
        pick("email", posts=sub(pick("title"), orderBy=ascending("id"))),
    )


def _writes_of_many() -> None:
    tag.create_many("two", [{"name": "m1"}, {"name": "m2"}])
    tag.create_many("none", [])
    tag.create_many("a violation keeps nothing", [{"name": "m3"}, {"name": "m1"}])
    tag.create_many("skipping duplicates", [{"name": "m1"}, {"name": "m4"}], skipDuplicates=True)
    tag.create_many("more rows than bind variables", [{"name": f"bulk{n}"} for n in range(2500)])
    tag.create_many_and_return("two", [{"name": "r1"}, {"name": "r2"}], pick("name"))
    tag.create_many_and_return("many", [{"name": f"returned{n}"} for n in range(1200)], pick("id", "name"))
    post.create_many_and_return(
        "with the parent", [{"title": "r", "authorId": 1, **TIMES}], pick("title", author=sub(pick("email")))
    )
    post.create_many(
        "different fields", [{"title": "d1", "views": 3, **TIMES}, {"title": "d2", "rating": 2.5, **TIMES}]
    )
    post.update_many("some", {"views": 0, **TIMES}, where={"id": {"in": [20, 21, 22]}})
    post.update_many("arithmetic", {"views": {"increment": 2}, **TIMES}, where={"published": False})
    post.update_many("nothing", {"views": 0}, where={"id": -1})
    post.update_many("by a relation", {"rating": 5, **TIMES}, where={"author": {"is": {"role": "ADMIN"}}})
    post.update_many("with a limit", {"rating": 4.5, **TIMES}, where={"id": {"lte": 20}}, limit=3)
    post.update_many_and_return(
        "two", {"content": "together", **TIMES}, pick("id", "content"), where={"id": {"in": [23, 24]}}
    )
    post.update_many_and_return("none", {"content": "x"}, pick("id"), where={"id": -1})
    post.update_many("foreign key violation", {"authorId": 4242}, where={"id": 30})
    tag.delete("plain", {"name": "m1"})
    tag.delete("missing", {"name": "m1"})
    post.delete("returning relations", {"id": 25}, pick("id", tags=IDS, author=sub(pick("email"))))
    post.delete("cascading", {"id": 1}, pick("id", comments=IDS))
    user.delete("held by a foreign key", {"id": 14}, ID)
    tag.delete_many("by list", where={"name": {"in": ["m2", "m4", "r1", *(f"bulk{n}" for n in range(2500))]}})
    tag.delete_many("by relation", where={"posts": {"none": {}}, "name": {"startsWith": "returned1"}})
    comment.delete_many("with a limit", where={"id": {"gt": 100}}, limit=7)
    comment.delete_many("nothing", where={"id": -1})
    CASES.append(
        query_raw("rows", "SELECT id, name, 1.5 AS x, NULL AS n FROM Tag WHERE id < ? ORDER BY id", "[4]")
    )
    CASES.append(query_raw("no rows", "SELECT id FROM Tag WHERE id < 0"))
    CASES.append(
        query_raw(
            "types", "SELECT id, title, published, rating, createdAt FROM Post WHERE id IN (4, 6) ORDER BY id"
        )
    )
    CASES.append(query_raw("no such table", "SELECT * FROM Nowhere"))
    CASES.append(execute_raw("update", "UPDATE Tag SET name = name || ? WHERE id <= ?", '["!", 3]'))
    CASES.append(execute_raw("violation", "INSERT INTO Tag (name) VALUES (?)", '["fresh"]'))
    CASES.append(execute_raw("syntax error", "UPDAET Tag"))


def _refused() -> None:
    user.find_many("unknown field in where", where={"nope": 1})
    user.find_many("unknown field in selection", pick("nope"))
    user.find_many("unknown argument", nope=1)
    user.find_many("wrong type", where={"id": "one"})
    user.find_many("unknown operator", where={"id": {"like": 1}})
    user.find_many("unknown enum value", where={"role": "KING"})
    user.find_many("number for a string", where={"email": 5})
    user.find_many("null for a required field", where={"email": None})
    user.find_many("bad order", orderBy=[{"id": "up"}])
    user.find_many("two orders in one object", orderBy=[{"id": "asc", "email": "asc"}])
    user.find_many("bad take", take="three")
    user.find_unique("no key", where={})
    user.find_unique("key that is not unique", where={"name": "x"})
    user.find_unique("missing where")
    user.create("unknown field", email="f@example.org", nope=1)
    user.create("wrong type", email=1)
    post.create("both forms of a relation", title="x", authorId=1, author={"connect": {"id": 1}}, **TIMES)
    user.find_many("empty selection", {"posts": sub({})})
    user.find_many("a scalar with arguments", {"email": sub(pick("x"))})
    user.aggregate("nothing selected", {})
    user.find_many("negative skip", ID, skip=-1)


for section in (
    _seed,
    _find,
    _where,
    _order_and_page,
    _nested_reads,
    _aggregates,
    _writes,
    _writes_of_many,
    _refused,
):
    section()
