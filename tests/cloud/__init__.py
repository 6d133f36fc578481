"""`make test-cloud`: the suite and the course's cloud notebooks against the real service, when someone asks for it."""
