"""Export: out of any version, into other tools' formats. One module per format; `formats` is the table of them."""
