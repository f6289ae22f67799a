"""Who may do what, and what is refused before anybody is asked: accounts, sessions, hosts, origins, sizes, headers."""
