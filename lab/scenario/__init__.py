"""What is done to a guest under load: hotplug, drains, resets, pauses, migration; and whether it took it."""
