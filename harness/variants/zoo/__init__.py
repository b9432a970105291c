"""Two small models that train in seconds on the digits: something to gate without downloading anything.

They are imported only by the process that trains or converts.
"""
