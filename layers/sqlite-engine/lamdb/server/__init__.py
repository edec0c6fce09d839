"""The standalone server: GraphQL over HTTP, GraphiQL and health on one port.

    with Instance.open(settings) as instance:
        serve(instance, settings)

`project` reads the user's directory, `instance` brings the store up to it, `app` answers requests, `run`
listens.
"""
