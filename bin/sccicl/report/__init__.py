"""What a reader sees: page, figures, notes, methods paragraph, MultiQC."""
