"""Ways for a node's frames to travel: each module is one `Bearer` or what one stands on."""
