"""From MQTT to rows that can be defended: ingest, storage, acknowledgement, API and page."""
