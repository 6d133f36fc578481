"""Who may do what: RAM's policies, users, roles and sessions, and how a call is decided."""
