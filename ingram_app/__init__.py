"""Ingram Cloud: every end user of a product gets a private AI assistant.

The house has three doors on one hall. Read downwards; imports only ever point down.

    __main__ · commands · ingram_app    the front: the command line, and the application it serves
    console | api | engine              the doors: people, programs, and time. They never import each other.
    domain                              the nouns: their tables and their verbs
    gateways                            the outside world: models, tool servers, mail, Stripe, collectors
    core                                settings, database, ids, clock, errors, secrets
"""
