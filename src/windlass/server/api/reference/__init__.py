"""The API about itself: an OpenAPI document for each version, and pages that show them to people.

What is served stands in the route table and the table of versions; here it is only described.
"""
