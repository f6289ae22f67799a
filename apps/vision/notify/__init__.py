"""Telling others of events: MQTT, webhooks and whatever Apprise reaches, through one outbox that survives a restart."""
