"""The EMR cluster on which both backends run: made, used and removed from the command line."""
