"""The results page: `report.html`, one file that shows a run to the people who use it."""
