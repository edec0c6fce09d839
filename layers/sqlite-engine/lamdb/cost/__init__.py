"""The monthly bill of a lamDB on AWS: computed from a workload and a file of prices, beside other
databases' bills.

`workload` holds the inputs, `prices` the prices, `bill` the lines, `rivals` the bills of others,
`breakeven` the points where two bills are equal, `measured` the inputs of a running stack, `chart` a
picture, `document` the generated `docs/cost.md`.
"""
