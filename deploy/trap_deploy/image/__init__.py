"""The trap's SD card image: a Debian base, the agent, and three file systems made from folders."""
