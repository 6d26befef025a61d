"""What `fruits` is measured by. Starts the product as a user would, and reads its reports."""
