"""The processes of one run: how they start, find one another, stay in step, and learn that one is gone."""
