"""Door controllers: adapters to the DoorController port."""
