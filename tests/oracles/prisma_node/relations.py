"""Self relations, referential actions and foreign keys of several columns."""

from .protocol import ALL, Case, Requests, ascending, counts, descending, everything, pick, query_raw, sub

CASES: list[Case] = []
node, person, owner, organisation, team, member, skill, passport, badge = (
    Requests(model, CASES)
    for model in ("Node", "Person", "Owner", "Organisation", "Team", "Member", "Skill", "Passport", "Badge")
)
children = {
    "cascades": Requests("Cascaded", CASES),
    "nulled": Requests("Nulled", CASES),
    "restricts": Requests("Guarded", CASES),
    "inactive": Requests("Inactive", CASES),
    "defaulted": Requests("Fallback", CASES),
}
ID = pick("id")
IDS = sub(ID, orderBy=ascending("id"))


def _tree() -> None:
    node.create_many(
        "seed",
        [
            {"id": n, "name": f"node {n}", "weight": n % 4, "parentId": None if n == 1 else n // 2}
            for n in range(1, 32)
        ],
    )
    three_levels = pick("name", children=sub(pick("id", children=IDS), orderBy=descending("id")))
    node.find_unique("three levels down", three_levels, where={"id": 2})
    up = pick("id", parent=sub(pick("id", parent=sub(pick("id", parent=sub(pick("name")))))))
    node.find_many("three levels up", up, where={"id": {"gte": 14}}, orderBy=ascending("id"))
    conditions = {
        "roots": {"parent": None},
        "roots by key": {"parentId": None},
        "leaves": {"children": {"none": {}}},
        "grandchildren of": {"parent": {"is": {"parent": {"is": {"id": 1}}}}},
        "with a heavy grandchild": {"children": {"some": {"children": {"some": {"weight": 3}}}}},
        "every child is heavy": {"children": {"every": {"weight": {"gte": 2}}}, "id": {"lt": 16}},
        "parent is not": {"parent": {"isNot": {"weight": 1}}},
    }
    for name, where in conditions.items():
        node.find_many(name, ID, where=where, orderBy=ascending("id"))
    node.find_many("ordered by parent", ID, orderBy=[{"parent": {"weight": "desc"}}, {"id": "asc"}])
    node.find_many("ordered by children", ID, orderBy=[{"children": {"_count": "desc"}}, {"id": "desc"}])
    node.find_many("counted", pick("id", _count=counts(children=True)), orderBy=ascending("id"), take=18)
    node.find_many(
        "counted with a filter",
        pick("id", _count=counts(children=sub({}, where={"weight": {"gt": 1}}))),
        orderBy=ascending("id"),
        take=9,
    )
    node.create(
        "a whole tree",
        pick(
            "name",
            children=sub(
                pick("name", children=sub(pick("name"), orderBy=ascending("id"))), orderBy=ascending("id")
            ),
        ),
        id=100,
        name="root",
        children={
            "create": [
                {"id": 101, "name": "left", "children": {"create": [{"id": 103, "name": "left left"}]}},
                {"id": 102, "name": "right", "children": {"create": {"id": 104, "name": "right left"}}},
            ]
        },
    )
    node.create(
        "under a new parent",
        pick("id", parent=sub(ID)),
        id=110,
        name="c",
        parent={"create": {"id": 111, "name": "p"}},
    )
    node.update("moved", {"id": 31}, {"parent": {"connect": {"id": 2}}}, pick("parentId"))
    node.update(
        "its own parent",
        {"id": 30},
        {"parent": {"connect": {"id": 30}}},
        pick("id", parent=sub(ID), children=IDS),
    )
    node.update("to a root", {"id": 30}, {"parent": {"disconnect": True}}, pick("parentId"))
    node.update(
        "takes children from others",
        {"id": 16},
        {"children": {"connect": [{"id": 29}, {"id": 28}]}},
        pick(children=IDS),
    )
    node.update("sets children", {"id": 16}, {"children": {"set": [{"id": 27}]}}, pick(children=IDS))
    node.update(
        "updates below and above",
        {"id": 5},
        {
            "name": "five",
            "parent": {"update": {"name": "two"}},
            "children": {
                "updateMany": {"where": {"weight": {"gt": 1}}, "data": {"weight": {"multiply": 10}}}
            },
        },
        pick("name", parent=sub(pick("name")), children=sub(pick("id", "weight"), orderBy=ascending("id"))),
    )
    node.delete("with children, NoAction", {"id": 3})
    node.delete("a leaf", {"id": 31}, pick("id", parent=sub(pick("name"))))
    node.delete_many("leaves of one parent", where={"parentId": 16})
    node.create("missing parent", id=200, name="x", parentId=999)
    node.update("to a missing parent", {"id": 20}, {"parentId": 999})
    node.update("the key of a parent, NoAction", {"id": 4}, {"id": 400})
    node.aggregate(
        "below",
        {"_count": sub(ALL), "_avg": sub(pick("weight"))},
        where={"parent": {"is": {"weight": {"gt": 0}}}},
    )
    node.group_by(
        "by parent",
        pick("parentId", _sum=sub(pick("weight"))),
        by=["parentId"],
        orderBy=ascending("parentId"),
    )


def _people() -> None:
    person.create_many(
        "seed", [{"id": n, "name": f"P{n}", "mentorId": n - 5 if n > 5 else None} for n in range(1, 16)]
    )
    friends = pick("id", friends=IDS, friendOf=IDS)
    for one in range(1, 8):
        person.update(
            f"friends of {one}",
            {"id": one},
            {"friends": {"connect": [{"id": one + 1}, {"id": one * 2}]}},
            friends,
        )
    person.update("befriends itself", {"id": 9}, {"friends": {"connect": {"name": "P9"}}}, friends)
    person.update(
        "befriended from the other side",
        {"id": 10},
        {"friendOf": {"connect": [{"id": 1}, {"id": 2}]}},
        friends,
    )
    person.update("unfriends", {"id": 1}, {"friends": {"disconnect": [{"id": 2}]}}, friends)
    person.update(
        "sets both sides",
        {"id": 3},
        {"friends": {"set": [{"id": 12}]}, "friendOf": {"set": [{"id": 13}]}},
        friends,
    )
    person.update(
        "creates and renames friends",
        {"id": 4},
        {
            "friends": {
                "create": [{"id": 50, "name": "new friend"}],
                "update": [{"where": {"id": 8}, "data": {"name": "P8!"}}],
                "connectOrCreate": [{"where": {"id": 51}, "create": {"id": 51, "name": "another"}}],
            }
        },
        pick(friends=sub(pick("name"), orderBy=ascending("id"))),
    )
    person.find_many(
        "friends of friends",
        pick("id", friends=sub(pick("id", friends=IDS), orderBy=ascending("id"))),
        where={"id": {"lte": 7}},
    )
    person.find_many(
        "with a friend called",
        ID,
        where={"friends": {"some": {"name": {"endsWith": "2"}}}},
        orderBy=ascending("id"),
    )
    person.find_many("no one's friend", ID, where={"friendOf": {"none": {}}}, orderBy=ascending("id"))
    person.find_many(
        "counted",
        pick("id", _count=counts(friends=True, friendOf=True, mentees=True)),
        orderBy=ascending("id"),
    )
    person.find_many("ordered by friends", ID, orderBy=[{"friends": {"_count": "desc"}}, {"id": "asc"}])
    person.find_many(
        "mentors of mentors",
        pick("id", mentor=sub(pick("id", mentor=sub(pick("name"))))),
        where={"mentor": {"isNot": None}},
        orderBy=ascending("id"),
    )

    marriage = pick("id", spouse=sub(ID), marriedTo=sub(ID))
    person.update("marries", {"id": 1}, {"spouse": {"connect": {"id": 2}}}, marriage)
    person.update("marries someone married", {"id": 3}, {"spouse": {"connect": {"id": 2}}}, marriage)
    person.update("married from the other side", {"id": 5}, {"marriedTo": {"connect": {"id": 6}}}, marriage)
    person.update("divorces", {"id": 6}, {"spouse": {"disconnect": True}}, marriage)
    person.update(
        "is divorced by one who is not there", {"id": 6}, {"marriedTo": {"disconnect": True}}, marriage
    )
    person.update("creates a spouse", {"id": 7}, {"spouse": {"create": {"id": 70, "name": "S"}}}, marriage)
    person.update(
        "creates one who marries", {"id": 8}, {"marriedTo": {"create": {"id": 80, "name": "T"}}}, marriage
    )
    person.update(
        "replaces one who marries", {"id": 8}, {"marriedTo": {"create": {"id": 81, "name": "U"}}}, marriage
    )
    person.update("deletes the spouse", {"id": 7}, {"spouse": {"delete": True}}, marriage)
    person.update(
        "upserts a spouse",
        {"id": 7},
        {"spouse": {"upsert": {"create": {"id": 71, "name": "V"}, "update": {"name": "W"}}}},
        marriage,
    )
    person.update(
        "upserts a spouse, there",
        {"id": 7},
        {"spouse": {"upsert": {"create": {"id": 72, "name": "X"}, "update": {"name": "W"}}}},
        pick(spouse=sub(pick("name"))),
    )
    person.find_many(
        "married",
        marriage,
        where={"OR": [{"spouse": {"isNot": None}}, {"marriedTo": {"isNot": None}}]},
        orderBy=ascending("id"),
    )
    person.delete("a mentor, SetNull", {"id": 9}, pick("id", mentees=IDS))
    person.find_many(
        "left without mentor", pick("id", "mentorId"), where={"id": {"gte": 10}}, orderBy=ascending("id")
    )
    person.delete("someone's spouse, NoAction", {"id": 2}, ID)


def _referential_actions() -> None:
    owner.create_many("seed", [{"id": n, "name": f"Owner {n}"} for n in range(1, 12)])
    for offset, (relation, child) in enumerate(children.items()):
        child.create_many(
            "seed", [{"id": n, "label": f"{relation} {n}", "ownerId": offset + 2} for n in range(1, 4)]
        )
    children["cascades"].update(
        "with leaves", {"id": 1}, {"leaves": {"create": [{"id": 1}, {"id": 2}]}}, pick("id", leaves=IDS)
    )
    whole = pick("id", **dict.fromkeys(children, IDS))
    owner.find_many("all", whole, orderBy=ascending("id"))
    owner.delete("Cascade", {"id": 2}, pick("name", cascades=IDS))
    owner.delete("SetNull", {"id": 3})
    owner.delete("Restrict", {"id": 4})
    owner.delete("NoAction", {"id": 5})
    owner.delete("SetDefault", {"id": 6})
    owner.find_many("what is left", whole, orderBy=ascending("id"))
    for relation, child in children.items():
        child.find_many(f"what is left of {relation}", orderBy=ascending("id"))
    children["cascades"].create_many("again", [{"id": n, "label": "again", "ownerId": 7} for n in (11, 12)])
    children["nulled"].update_many("again", {"ownerId": 8}, where={})
    owner.update("key, Cascade", {"id": 7}, {"id": 70}, pick("id", cascades=sub()))
    owner.update("key, SetNull", {"id": 8}, {"id": 80}, pick("id", nulled=sub()))
    owner.update("key, Restrict", {"id": 4}, {"id": 40})
    owner.update("key, NoAction", {"id": 5}, {"id": 50})
    owner.update("key of SetDefault", {"id": 1}, {"id": 10}, pick("id"))
    owner.update_many("keys of many", {"id": {"increment": 1000}}, where={"id": {"in": [9, 11]}})
    owner.delete_many("held back by one", where={"id": {"gt": 3}})
    owner.delete_many("free", where={"id": {"gt": 60}})
    owner.update("required disconnect", {"id": 4}, {"restricts": {"disconnect": [{"id": 1}]}}, ID)
    owner.update("required set", {"id": 4}, {"restricts": {"set": []}}, ID)
    owner.update("required, deleted", {"id": 4}, {"restricts": {"delete": [{"id": 1}]}}, pick(restricts=IDS))
    owner.update("required, deleteMany", {"id": 4}, {"restricts": {"deleteMany": {}}}, pick(restricts=IDS))
    owner.delete("now unguarded", {"id": 4}, pick("id"))

    owner.create_many("for passports", [{"id": n, "name": f"Holder {n}"} for n in range(200, 206)])
    held = pick("id", passport=sub(), badge=sub())
    owner.update(
        "passport",
        {"id": 200},
        {"passport": {"create": {"number": "A"}}, "badge": {"create": {"number": "a"}}},
        held,
    )
    owner.update(
        "another passport over a required one", {"id": 200}, {"passport": {"create": {"number": "B"}}}, held
    )
    owner.update(
        "another badge over an optional one", {"id": 200}, {"badge": {"create": {"number": "b"}}}, held
    )
    owner.update("connects another's passport", {"id": 201}, {"passport": {"connect": {"number": "A"}}}, held)
    owner.update("connects another's badge", {"id": 201}, {"badge": {"connect": {"number": "b"}}}, held)
    owner.update("disconnects the badge", {"id": 201}, {"badge": {"disconnect": True}}, held)
    owner.update("connects the same twice", {"id": 201}, {"passport": {"connect": {"number": "A"}}}, held)
    owner.update("connects a missing badge", {"id": 201}, {"badge": {"connect": {"number": "zzz"}}}, held)
    owner.update("disconnects a badge that is not there", {"id": 202}, {"badge": {"disconnect": True}}, held)
    owner.update("disconnects a required passport", {"id": 201}, {"passport": {"disconnect": True}}, held)
    passport.create("for one who has one", number="C", owner={"connect": {"id": 201}})
    passport.create(
        "for a new one",
        everything(owner=sub(pick("name"))),
        number="D",
        owner={"create": {"id": 210, "name": "D"}},
    )
    badge.create("for one who has one", number="c", owner={"connect": {"id": 202}})
    badge.create("for the same", everything(owner=sub(ID)), number="d", owner={"connect": {"id": 202}})
    badge.find_many("all", orderBy=ascending("number"))
    passport.update("to another", {"number": "D"}, {"owner": {"connect": {"id": 203}}}, everything())
    passport.update("to one who has one", {"number": "D"}, {"owner": {"connect": {"id": 201}}}, everything())
    badge.update("to one who has one", {"number": "a"}, {"owner": {"connect": {"id": 202}}}, everything())
    badge.update("to nobody", {"number": "a"}, {"owner": {"disconnect": True}}, everything())
    owner.delete("with a required passport", {"id": 201}, ID)
    owner.delete("with an optional badge", {"id": 202}, ID)
    owner.find_many("without badge", ID, where={"badge": {"is": None}}, orderBy=ascending("id"))


def _composite() -> None:
    organisation.create_many(
        "seed",
        [
            {"country": country, "number": n, "name": f"{country}{n}"}
            for country in ("AT", "CH", "DE")
            for n in (1, 2)
        ],
    )
    team.create_many(
        "seed",
        [
            {"id": n, "name": f"team {n}", "country": ("AT", "CH", "DE")[n % 3], "orgNumber": n % 2 + 1}
            for n in range(1, 13)
        ],
    )
    member.create_many(
        "seed",
        [
            {
                "id": n,
                "name": f"M{n}",
                "country": "AT",
                "org": n % 2 + 1,
                "teamName": "team 3" if n % 2 else "team 6",
            }
            for n in range(1, 6)
        ],
    )
    member.create_many(
        "with a dangling key", [{"id": 9, "name": "x", "country": "XX", "org": 1, "teamName": "none"}]
    )
    member.create_many("with half a key", [{"id": 10, "name": "half", "country": "AT", "org": 1}])
    vienna = {"country_number": {"country": "AT", "number": 1}}
    organisation.find_unique("by key", everything(teams=sub(orderBy=ascending("id"))), where=vienna)
    organisation.find_many(
        "all below",
        everything(teams=sub(everything(members=IDS), orderBy=ascending("id"))),
        orderBy=ascending("country", "number"),
    )
    organisation.find_many(
        "counted",
        pick("name", _count=counts(teams=True)),
        orderBy=[{"teams": {"_count": "desc"}}, {"name": "asc"}],
    )
    organisation.find_many(
        "by teams",
        pick("name"),
        where={"teams": {"some": {"members": {"some": {}}}}},
        orderBy=ascending("name"),
    )
    organisation.find_many(
        "cursor", pick("name"), cursor=vienna, skip=1, take=2, orderBy=ascending("country", "number")
    )
    team.find_many(
        "above",
        pick("id", org=sub(pick("name"))),
        where={"org": {"is": {"name": {"startsWith": "D"}}}},
        orderBy=ascending("id"),
    )
    team.find_unique(
        "by compound unique",
        everything(),
        where={"country_orgNumber_name": {"country": "AT", "orgNumber": 1, "name": "team 6"}},
    )
    member.find_many(
        "above", everything(team=sub(pick("name", org=sub(pick("name"))))), orderBy=ascending("id")
    )
    member.find_many("without team", ID, where={"team": None}, orderBy=ascending("id"))
    member.update("joins", {"id": 10}, {"team": {"connect": {"id": 5}}}, everything())
    member.update(
        "joins by compound key",
        {"id": 10},
        {
            "team": {
                "connect": {"country_orgNumber_name": {"country": "AT", "orgNumber": 2, "name": "team 3"}}
            }
        },
        everything(),
    )
    member.update("leaves", {"id": 10}, {"team": {"disconnect": True}}, everything())
    member.create(
        "in a new team of a new organisation",
        everything(team=sub(everything(org=sub()))),
        id=20,
        name="founder",
        team={
            "create": {
                "id": 50,
                "name": "first",
                "org": {"create": {"country": "FR", "number": 9, "name": "FR9"}},
            }
        },
    )
    team.update("moves with members", {"id": 50}, {"org": {"connect": vienna}}, everything(members=sub()))
    organisation.update(
        "renumbered, Cascade",
        {"country_number": {"country": "DE", "number": 1}},
        {"number": 77},
        everything(teams=sub(orderBy=ascending("id"))),
    )
    organisation.update(
        "nested by compound key",
        vienna,
        {
            "teams": {
                "upsert": [
                    {
                        "where": {
                            "country_orgNumber_name": {"country": "AT", "orgNumber": 1, "name": "upserted"}
                        },
                        "create": {"id": 60, "name": "upserted"},
                        "update": {"name": "again"},
                    }
                ]
            }
        },
        pick("name", teams=sub(pick("name"), orderBy=ascending("id"))),
    )
    organisation.update(
        "connects a team of another", vienna, {"teams": {"connect": [{"id": 1}]}}, pick(teams=IDS)
    )
    organisation.update(
        "disconnects a required team", vienna, {"teams": {"disconnect": [{"id": 1}]}}, pick("name")
    )
    team.create("unknown organisation", id=61, name="x", country="XX", orgNumber=1)
    team.create("unique violation", id=62, name="upserted", country="AT", orgNumber=1)
    team.delete("members SetNull", {"id": 50}, pick("id", members=sub()))
    member.find_unique("left behind", where={"id": 20})
    organisation.delete(
        "teams Cascade", {"country_number": {"country": "CH", "number": 1}}, pick("name", teams=IDS)
    )
    team.aggregate("left", {"_count": sub(ALL)})
    team.group_by(
        "by half of the key", pick("country", _count=sub(ALL)), by=["country"], orderBy=ascending("country")
    )
    skills = pick("name", skills=sub(orderBy=ascending("name")))
    member.update(
        "many to many by text keys",
        {"id": 1},
        {
            "skills": {
                "connectOrCreate": [{"where": {"name": s}, "create": {"name": s}} for s in ("tea", "go")]
            }
        },
        skills,
    )
    member.update(
        "many to many again",
        {"id": 2},
        {
            "skills": {
                "connectOrCreate": [{"where": {"name": s}, "create": {"name": s}} for s in ("go", "chess")]
            }
        },
        skills,
    )
    skill.update("renamed with its links", {"name": "go"}, {"name": "Go"}, pick("name", members=IDS))
    skill.delete("with its links", {"name": "tea"}, pick(members=IDS))
    member.find_many("who plays", skills, where={"skills": {"some": {"name": "Go"}}}, orderBy=ascending("id"))
    CASES.append(query_raw("the link table", 'SELECT "A", "B" FROM "_MemberToSkill" ORDER BY 1, 2'))


for section in (_tree, _people, _referential_actions, _composite):
    section()
