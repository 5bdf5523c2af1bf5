"""What a service does once, at its start and for its first page, so that those forked from here need not."""

import gc
import os

from modelwatch.api.app import routes
from modelwatch.cli.app import whole_command
from modelwatch.config.loading import misspelt_setting
from modelwatch.web.frame.rendering import templates

for route in routes():
    route.matches({"type": "http", "method": "GET", "path": "/nowhere", "root_path": "", "headers": []})
for name in templates().list_templates():
    templates().get_template(name)
whole_command()
for name in os.environ:
    misspelt_setting(name)
# What is loaded stays: to look for garbage in it would also copy it into each process.
gc.collect()
gc.freeze()
