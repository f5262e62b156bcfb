"""What a run costs beyond its model, measured against a fake model on this machine."""
