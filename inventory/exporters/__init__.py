"""Where the inventory goes: documents (json, csv, ansible) and systems (netbox).

An exporter is handed a `Snapshot`: what was declared, joined with what was last observed. It sees inventory types only; the
journal is read elsewhere. Others bring their own through the entry point group `fleet.exporters`.
"""
