-- Markdown by a library from Debian, which knows the Markdown of 2004.
local markdown = require "markdown"
local polyhost = require "polyhost"
local stages = require "stages"

local concat = table.concat

polyhost.proto "bench/v1/workloads.proto"

-- The library looks for each list, quote and protected part from the beginning of its text, so that twice the text takes
-- four times as long. A heading ends whatever is before it: so the page is rendered section by section. That loses links
-- whose addresses are told in another section, which the bench's pages do not have.
local function render(request)
    local page, html, from = request.markdown, {}, 1
    repeat
        local stop = page:find("\n#", from, true)
        html[#html + 1] = markdown(page:sub(from, stop))
        from = stop and stop + 1
    until not from
    return { html = concat(html, "\n") }
end

polyhost.export("bench.v1.Bench/Render", render)

stages.export({ ["bench.v1.Bench/Render"] = { render, "bench.v1.RenderRequest", "bench.v1.RenderReply" } })

-- The library can't be asked for its version: setup accepts this one alone.
polyhost.export("bench.v1.About/Facts", { raw = true }, function()
    return "markdown: lua-markdown 0.32, section by section\n"
end)
