"""The line to the central system over MQTT."""
