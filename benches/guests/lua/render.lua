-- Markdown by a library from Debian, which knows the Markdown of 2004.
local markdown = require "markdown"
local polyhost = require "polyhost"
local stages = require "stages"

polyhost.proto "bench/v1/workloads.proto"

local function render(request)
    return { html = (markdown(request.markdown)) }
end

polyhost.export("bench.v1.Bench/Render", render)

stages.export({ ["bench.v1.Bench/Render"] = { render, "bench.v1.RenderRequest", "bench.v1.RenderReply" } })
