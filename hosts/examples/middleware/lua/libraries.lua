-- A library from Debian, as it is.
local markdown = require "markdown"
local polyhost = require "polyhost"

-- Renders the Markdown of 2004, which had no fenced code.
polyhost.export("markdown/ToHtml", function(text)
    return (markdown(text))
end)
