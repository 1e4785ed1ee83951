"""GET /metrics: what operators want to know of an API process, in the text format of Prometheus. docs/metrics.md lists it.

counts.py     what is counted as it happens: requests, commands, lists
requests.py   counts requests
commands.py   counts commands
looks.py      what has to be asked for: of Postgres, of the other servers and of the mounts; rarely, and never for long
gauges.py     how things stand at the moment of a scrape
routes.py     the page
"""
