"""Many boards on one NATS server: what each is to run, who may say so, how far a rollout has come, and what the boards report.

`agent` runs on every board and drives the same code as `edgekit deploy`; `rollout` moves a rollout on, from any operator's machine.
Nothing here needs a server of our own: desired states are keys in JetStream, artifacts its objects, and rollouts live there too.
"""
