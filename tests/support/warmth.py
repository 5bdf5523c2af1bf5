"""What a service does once, when it is first asked for a route and a page, so that those forked from here need not."""

from modelwatch.api.app import routes
from modelwatch.web.frame.rendering import templates

for route in routes():
    route.matches({"type": "http", "method": "GET", "path": "/nowhere", "root_path": "", "headers": []})
for name in templates().list_templates():
    templates().get_template(name)
