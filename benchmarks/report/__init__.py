"""The page that an architect decides by: figures from raw measurements, charts of them, and the text around both."""
