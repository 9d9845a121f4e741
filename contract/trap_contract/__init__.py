"""What travels between the rooms: model bundles, the decoder, messages, topics and errors."""
