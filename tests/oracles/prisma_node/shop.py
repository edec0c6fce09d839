"""A shop: money as Decimal, Json attributes, BigInt keys, join tables with columns of their own."""

from json import dumps
from random import Random

from .protocol import (
    ALL,
    Case,
    Requests,
    ascending,
    big_int,
    bytes_base64,
    counts,
    date_time,
    decimal,
    descending,
    everything,
    execute_raw,
    field_ref,
    json_text,
    null_kind,
    pick,
    query_raw,
    sub,
)

CASES: list[Case] = []
customer, category, product, order, line, review = (
    Requests(model, CASES) for model in ("Customer", "Category", "Product", "Order", "Line", "Review")
)
STATUSES = ("OPEN", "PAID", "SHIPPED", "CANCELLED")


def _seed() -> None:
    random = Random(11)
    customer.create_many(
        "seed",
        [
            {
                "id": f"c{n}",
                "email": f"c{n}@example.org",
                "name": f"Customer {n}",
                "preferences": json_text(
                    f'{{"newsletter": {str(n % 2 == 0).lower()}, "sizes": [{n}, {n + 1}]}}'
                ),
                "credit": decimal(f"{n}.{n}5"),
                "joined": date_time(f"2023-{n:02d}-01T00:00:00.000Z"),
            }
            for n in range(1, 10)
        ],
    )
    for slug, parent in (
        ("all", None),
        ("books", "all"),
        ("music", "all"),
        ("novels", "books"),
        ("poems", "books"),
    ):
        parents = {} if parent is None else {"parent": {"connect": {"slug": parent}}}
        category.create(slug, slug=slug, title=slug.title(), **parents)
    for n in range(1, 13):
        product.create(
            f"seed {n}",
            pick("sku", "price", categories=sub(pick("slug"), orderBy=ascending("slug"))),
            sku=f"p{n:02d}",
            name=f"Product {n}",
            price=decimal(f"{random.randrange(1, 200)}.{random.randrange(100):02d}"),
            weight=None if n % 3 == 0 else n / 8,
            stock=random.randrange(40),
            barcode=big_int(4_000_000_000_000 + n) if n % 2 else None,
            attributes=json_text(
                dumps({"pages": n * 50, "authors": [f"A{n % 3}", "B"], "cover": {"hard": n % 4 == 0}})
            ),
            thumbnail=bytes_base64("iVBORw0KGgo=") if n == 1 else None,
            categories={"connect": [{"slug": ("novels", "poems", "music")[n % 3]}, {"slug": "all"}]},
        )
    for n in range(1, 31):
        skus = random.sample(range(1, 13), random.randrange(1, 4))
        order.create(
            f"seed {n}",
            pick("id", "total", lines=sub(orderBy=ascending("sku"))),
            id=big_int(n),
            customer={"connect": {"id": f"c{random.randrange(1, 8)}"}},
            status=STATUSES[n % 4],
            placedAt=date_time(f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}T09:00:00.000Z"),
            shippedAt=date_time("2024-12-24T12:00:00.000Z") if n % 4 == 2 else None,
            total=decimal(f"{random.randrange(500)}.{random.randrange(10)}"),
            lines={
                "create": [
                    {
                        "product": {"connect": {"sku": f"p{sku:02d}"}},
                        "quantity": sku,
                        "unitPrice": decimal(f"{sku}.99"),
                    }
                    for sku in skus
                ]
            },
        )
    review.create_many(
        "seed",
        [
            {
                "customerId": f"c{c}",
                "sku": f"p{p:02d}",
                "stars": random.randrange(1, 6),
                "text": None if p % 2 else "text",
            }
            for c in range(1, 8)
            for p in range(c, 13, 3)
        ],
    )


def _read() -> None:
    whole = everything(
        customer=sub(pick("email", "credit")),
        lines=sub(
            everything(product=sub(pick("name", "price", "attributes"))), orderBy=descending("unitPrice")
        ),
    )
    order.find_unique("whole", whole, where={"id": big_int(3)})
    order.find_unique("id as a number", pick("id"), where={"id": 3})
    order.find_many("whole", whole, orderBy=[{"total": "desc"}, {"id": "asc"}], take=10)
    order.find_many(
        "by id as text",
        pick("id"),
        where={"id": {"in": [big_int(1), big_int(2), 4]}},
        orderBy=ascending("id"),
    )
    order.find_many(
        "from a BigInt cursor",
        pick("id"),
        cursor={"id": big_int(10)},
        skip=1,
        take=3,
        orderBy=ascending("id"),
    )
    product.find_many(
        "by price",
        pick("sku", "price"),
        where={"price": {"gte": decimal("50"), "lt": decimal("150.5")}},
        orderBy=ascending("price"),
    )
    product.find_many("by price in", pick("sku"), where={"price": {"in": [decimal("1.00"), decimal("2")]}})
    product.find_many(
        "by barcode",
        pick("sku"),
        where={"barcode": {"gt": big_int(4_000_000_000_006)}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "by thumbnail", pick("sku", "thumbnail"), where={"thumbnail": bytes_base64("iVBORw0KGgo=")}
    )
    product.find_many(
        "by attribute",
        pick("sku"),
        where={"attributes": {"path": "$.cover.hard", "equals": json_text("true")}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "by attribute in a list",
        pick("sku"),
        where={"attributes": {"path": "$.authors", "array_starts_with": json_text('"A1"')}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "by attribute, negated",
        pick("sku"),
        where={"NOT": {"attributes": {"path": "$.pages", "equals": json_text("100")}}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "scarce",
        pick("sku"),
        where={"stock": {"lt": 10}, "lines": {"some": {"quantity": {"gt": 3}}}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "never sold",
        pick("sku"),
        where={"lines": {"none": {"order": {"is": {"status": {"in": ["PAID", "SHIPPED"]}}}}}},
        orderBy=ascending("sku"),
    )
    product.find_many(
        "most sold",
        pick("sku", _count=counts(lines=True, reviews=sub({}, where={"stars": {"gte": 4}}))),
        orderBy=[{"lines": {"_count": "desc"}}, {"sku": "asc"}],
        take=5,
    )
    product.find_many(
        "best reviews",
        pick(
            "sku",
            reviews=sub(
                pick("stars", customer=sub(pick("name"))),
                orderBy=[{"stars": "desc"}, {"customerId": "asc"}],
                take=2,
            ),
        ),
        orderBy=ascending("sku"),
    )
    customer.find_many(
        "with paid orders",
        pick(
            "id",
            orders=sub(
                pick("id", "placedAt"), where={"status": "PAID"}, orderBy=descending("placedAt", "id")
            ),
        ),
        where={"orders": {"some": {"status": "PAID"}}},
        orderBy=ascending("id"),
    )
    customer.find_many(
        "by preference", pick("id"), where={"preferences": {"path": "$.sizes[1]", "equals": json_text("4")}}
    )
    customer.find_many(
        "without preference", pick("id"), where={"preferences": {"equals": null_kind("AnyNull")}}
    )
    customer.find_many(
        "ordered by orders", pick("id"), orderBy=[{"orders": {"_count": "asc"}}, {"id": "desc"}]
    )
    category.find_many(
        "tree",
        pick(
            "slug",
            children=sub(
                pick("slug", children=sub(pick("slug")), _count=counts(products=True)),
                orderBy=ascending("slug"),
            ),
        ),
        where={"parentId": None},
    )
    category.find_many(
        "products of the parent",
        pick("slug", parent=sub(pick("slug", products=sub(pick("sku"), orderBy=ascending("sku"), take=2)))),
        orderBy=ascending("slug"),
    )
    line.find_unique(
        "by compound key with BigInt",
        everything(),
        where={"orderId_sku": {"orderId": big_int(1), "sku": "p01"}},
    )
    line.find_many(
        "cursor on a compound key",
        pick("orderId", "sku"),
        orderBy=ascending("orderId", "sku"),
        cursor={"orderId_sku": {"orderId": big_int(2), "sku": "p99"}},
        take=2,
    )
    line.find_many(
        "ordered through relations",
        pick("orderId", "sku"),
        orderBy=[
            {"order": {"customer": {"name": "desc"}}},
            {"product": {"price": "asc"}},
            {"orderId": "asc"},
            {"sku": "asc"},
        ],
        take=8,
    )
    line.find_many(
        "quantity against another column",
        pick("sku"),
        where={"product": {"is": {"stock": {"gte": 0}}}, "unitPrice": {"gt": decimal("5")}},
        distinct=["sku"],
        orderBy=ascending("sku"),
    )
    order.find_many(
        "shipped late",
        pick("id"),
        where={"shippedAt": {"gt": field_ref("placedAt", "Order")}},
        orderBy=ascending("id"),
    )
    review.find_many("distinct stars", pick("stars"), distinct=["stars"], orderBy=ascending("stars"))
    review.find_many(
        "page of a compound key",
        pick("customerId", "sku"),
        cursor={"customerId_sku": {"customerId": "c2", "sku": "p05"}},
        orderBy=ascending("customerId", "sku"),
        take=-3,
    )


def _aggregate() -> None:
    order.aggregate(
        "totals",
        {
            "_sum": sub(pick("total", "id")),
            "_avg": sub(pick("total", "id")),
            "_min": sub(pick("total", "placedAt")),
            "_max": sub(pick("id", "shippedAt")),
            "_count": sub({**ALL, **pick("shippedAt")}),
        },
    )
    product.aggregate(
        "prices",
        {"_avg": sub(pick("price", "weight", "stock", "barcode")), "_sum": sub(pick("price", "weight"))},
    )
    order.group_by(
        "by status",
        pick("status", _sum=sub(pick("total")), _count=sub(ALL)),
        by=["status"],
        orderBy=ascending("status"),
    )
    order.group_by(
        "by customer having a total",
        pick("customerId", _sum=sub(pick("total"))),
        by=["customerId"],
        having={"total": {"_sum": {"gt": decimal("700.5")}}},
        orderBy=[{"_sum": {"total": "desc"}}],
    )
    order.group_by(
        "by two, filtered",
        pick("customerId", "status", _max=sub(pick("placedAt"))),
        by=["customerId", "status"],
        where={"lines": {"some": {"quantity": {"gt": 5}}}},
        orderBy=[{"customerId": "asc"}, {"status": "desc"}],
    )
    line.group_by(
        "by product",
        pick("sku", _sum=sub(pick("quantity")), _avg=sub(pick("unitPrice"))),
        by=["sku"],
        orderBy=[{"_sum": {"quantity": "desc"}}, {"sku": "asc"}],
        take=6,
    )
    line.group_by(
        "having on both",
        pick("sku"),
        by=["sku"],
        having={"AND": [{"quantity": {"_sum": {"gte": 10}}}, {"sku": {"not": "p01"}}]},
        orderBy=ascending("sku"),
    )
    review.group_by(
        "average stars",
        pick("sku", _avg=sub(pick("stars")), _count=sub(pick("text"))),
        by=["sku"],
        orderBy=[{"_avg": {"stars": "desc"}}, {"sku": "asc"}],
    )
    review.group_by(
        "by stars",
        pick("stars", _count=sub(ALL)),
        by=["stars"],
        having={"stars": {"gt": 2}},
        orderBy=ascending("stars"),
    )


def _write() -> None:
    customer.upsert(
        "new",
        {"email": "n@example.org"},
        {"id": "n", "email": "n@example.org", "name": "N", "joined": date_time("2024-01-01T00:00:00Z")},
        {"name": "M"},
    )
    customer.update("credit", {"id": "c1"}, {"credit": {"increment": decimal("0.1")}}, pick("credit"))
    customer.update("credit by a number", {"id": "c1"}, {"credit": {"decrement": 0.05}}, pick("credit"))
    customer.update(
        "preferences",
        {"id": "c2"},
        {"preferences": json_text('{"deep": {"er": [true, false, null]}}')},
        pick("preferences"),
    )
    customer.update("no preferences", {"id": "c3"}, {"preferences": null_kind("DbNull")}, pick("preferences"))
    customer.update(
        "null preferences", {"id": "c4"}, {"preferences": null_kind("JsonNull")}, pick("preferences")
    )
    product.update_many(
        "price rise",
        {"price": {"multiply": decimal("2")}},
        where={"categories": {"some": {"slug": "music"}}},
    )
    product.find_many("after the price rise", pick("sku", "price"), orderBy=ascending("sku"))
    product.update(
        "barcode",
        {"barcode": big_int(4_000_000_000_001)},
        {"barcode": {"increment": big_int(100)}},
        pick("barcode"),
    )
    product.update("barcode taken", {"sku": "p03"}, {"barcode": big_int(4_000_000_000_005)}, pick("sku"))
    product.update(
        "stock of a line's product",
        {"sku": "p03"},
        {"lines": {"updateMany": {"where": {"quantity": {"gt": 1}}, "data": {"unitPrice": decimal("3.33")}}}},
        pick("sku", lines=sub(orderBy=ascending("orderId"))),
    )
    order.update(
        "lines in every way",
        {"id": big_int(5)},
        {
            "status": "PAID",
            "total": {"increment": decimal("10.05")},
            "lines": {
                "deleteMany": [{"quantity": {"lt": 3}}],
                "upsert": [
                    {
                        "where": {"orderId_sku": {"orderId": big_int(5), "sku": "p12"}},
                        "create": {"product": {"connect": {"sku": "p12"}}, "unitPrice": decimal("12.12")},
                        "update": {"quantity": {"increment": 1}},
                    }
                ],
            },
        },
        everything(lines=sub(orderBy=ascending("sku"))),
    )
    order.update(
        "line twice",
        {"id": big_int(5)},
        {"lines": {"create": [{"product": {"connect": {"sku": "p12"}}, "unitPrice": decimal("1")}]}},
        pick("id"),
    )
    order.create(
        "unknown product",
        pick("id"),
        id=big_int(100),
        customer={"connect": {"id": "c1"}},
        placedAt=date_time("2024-01-01T00:00:00Z"),
        total=1,
        lines={"create": {"sku": "nope", "unitPrice": 1}},
    )
    order.create(
        "unknown customer",
        pick("id"),
        id=big_int(101),
        customerId="nobody",
        placedAt=date_time("2024-01-01T00:00:00Z"),
        total=1,
    )
    order.create(
        "large id",
        pick("id", "total"),
        id=big_int(2**60),
        customerId="c1",
        placedAt=date_time("2024-01-01T00:00:00Z"),
        total=decimal("0.30"),
    )
    order.create(
        "without an id",
        pick("id"),
        customerId="c1",
        placedAt=date_time("2024-01-01T00:00:00Z"),
        total=decimal("123456789012.678"),
    )
    order.create_many_and_return(
        "two with customers",
        [
            {"id": 200 + n, "customerId": f"c{n}", "placedAt": date_time("2024-01-01T00:00:00Z"), "total": n}
            for n in (1, 2)
        ],
        pick("id", "total", "status", customer=sub(pick("email"))),
    )
    order.update_many_and_return(
        "status",
        {"status": {"set": "CANCELLED"}},
        pick("id", "status"),
        where={"total": {"lte": 2}, "status": "OPEN"},
    )
    order.delete(
        "with lines", {"id": big_int(6)}, pick("id", lines=sub(pick("sku"), orderBy=ascending("sku")))
    )
    customer.delete("with orders, Restrict", {"id": "c1"}, pick("id"))
    product.delete("with lines", {"sku": "p05"}, pick("sku"))
    category.delete(
        "with children, SetNull",
        {"slug": "books"},
        pick("slug", children=sub(pick("slug"), orderBy=ascending("slug"))),
    )
    category.find_many("left", orderBy=ascending("slug"))
    category.update(
        "moves",
        {"slug": "novels"},
        {
            "parent": {"connect": {"slug": "all"}},
            "products": {"disconnect": [{"sku": "p03"}], "connect": [{"sku": "p01"}]},
        },
        everything(products=sub(pick("sku"), orderBy=ascending("sku"))),
    )
    review.upsert(
        "compound key, new",
        {"customerId_sku": {"customerId": "c9", "sku": "p01"}},
        {"customerId": "c9", "sku": "p01", "stars": 5},
        {"stars": 1},
    )
    review.upsert(
        "compound key, there",
        {"customerId_sku": {"customerId": "c9", "sku": "p01"}},
        {"customerId": "c9", "sku": "p01", "stars": 5},
        {"stars": 1},
    )
    review.create("violates a compound key", customerId="c9", sku="p01", stars=2)
    review.update(
        "half of the key",
        {"customerId_sku": {"customerId": "c9", "sku": "p01"}},
        {"product": {"connect": {"sku": "p02"}}},
        everything(product=sub(pick("name"))),
    )
    review.delete_many("by a relation", where={"customer": {"is": {"email": {"startsWith": "c9"}}}})
    line.delete_many("by price", where={"unitPrice": {"gte": decimal("11.99")}})
    line.aggregate("left", {"_count": sub(ALL), "_sum": sub(pick("quantity", "unitPrice"))})
    CASES.append(
        query_raw(
            "joins",
            "SELECT o.id, o.total, c.email, count(*) AS n FROM orders o JOIN Customer c ON c.id = customerId"
            " JOIN Line l ON l.orderId = o.id WHERE o.total > ? GROUP BY o.id ORDER BY o.id",
            "[100.5]",
        )
    )
    CASES.append(execute_raw("delete", "DELETE FROM Review WHERE stars = ?", "[3]"))
    CASES.append(
        query_raw(
            "insert returning",
            "INSERT INTO Category (slug, title) VALUES (?, ?) RETURNING slug, title",
            '["raw", "Raw"]',
        )
    )


for section in (_seed, _read, _aggregate, _write):
    section()
