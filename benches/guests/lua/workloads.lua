-- What the bench has every language do, in Lua; workloads.proto says what that is.
local polyhost = require "polyhost"
local stages = require "stages"

local concat = table.concat

polyhost.proto "bench/v1/workloads.proto"

local call_next = polyhost.service "bench.v1.Host/Next"

-- The request as it came, which no table has to be made of.
local function echo(request)
    return request
end

polyhost.export("bench.v1.Bench/Echo", { raw = true }, echo)

local function sum(request)
    local integers, doubles = 0, 0
    for _, integer in ipairs(request.integers) do
        integers = integers + integer
    end
    for _, number in ipairs(request.doubles) do
        doubles = doubles + number
    end
    return { integers = integers, doubles = doubles }
end

local function transform(document)
    local labels, names, sections, quantities = {}, {}, {}, {}
    for key, value in pairs(document.labels) do
        labels[key] = key .. "=" .. value
    end
    for i, section in ipairs(document.sections) do
        local total, lines = 0, section.lines
        for _, line in ipairs(lines) do
            local sku, quantity = line.sku, line.quantity
            total = total + quantity * line.price
            quantities[sku] = (quantities[sku] or 0) + quantity
        end
        names[i] = section.name
        sections[i] = { name = section.name, lines = #lines, total = total }
    end
    local title = document.title .. ": " .. concat(names, ", ")
    return { title = title, labels = labels, sections = sections, quantities = quantities }
end

polyhost.export("bench.v1.Bench/Sum", sum)
polyhost.export("bench.v1.Bench/Transform", transform)

polyhost.export("bench.v1.Bench/Callback", function(request)
    local total, value = 0, request.start
    for _ = 1, request.calls do
        value = call_next({ value = value, payload = request.payload }).value
        total = total + value
    end
    return { sum = total }
end)

stages.export({
    ["bench.v1.Bench/Echo"] = { echo },
    ["bench.v1.Bench/Sum"] = { sum, "bench.v1.SumRequest", "bench.v1.SumReply" },
    ["bench.v1.Bench/Transform"] = { transform, "bench.v1.Document", "bench.v1.Summary" },
})

polyhost.export("bench.v1.About/Facts", { raw = true }, function()
    return "protobuf: Polyhost's own, " .. polyhost.version .. "\n"
end)
