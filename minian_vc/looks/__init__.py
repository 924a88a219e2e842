"""How checkpoints, histories and changes look: as one line, as table cells, as HTML. Nothing is read here."""
