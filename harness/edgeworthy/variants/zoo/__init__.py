"""Two small models of the digits: something to gate without downloading anything.

Their trained weights ship as ``edgeworthy:weights/``; ``make weights`` trains them again. Imported only by the process
that trains or converts.
"""
