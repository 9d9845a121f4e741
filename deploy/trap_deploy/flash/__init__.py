"""`trap-flash`: put the image onto a card, and this trap's identity onto the image."""
