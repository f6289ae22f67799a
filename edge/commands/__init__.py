"""One file per subcommand: `HELP`, `configure(parser)`, `run(args) -> int`.

Parse, call, print. Anything heavier than argparse is imported inside `run`, so that `edgekit --help` stays instant.
"""
