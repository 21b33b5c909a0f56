-- The requests that wrk sends for benches/compare. They use the callers' tokens in the file $TOKENS in turn. At the end,
-- prints a line with the results.
local body = '{"conv_id":"5f3c2a1b9e8d7c6b5a493827","members":["mary","nina","oscar"]}'
local requests, last = {}, 0

function init()
    for token in io.lines(os.getenv("TOKENS")) do
        local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }
        requests[#requests + 1] = wrk.format("POST", nil, headers, body)
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

function done(summary, latency)
    local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout
    io.write(string.format("RESULT %d %d %d %.0f\n", summary.requests, summary.duration, failed, latency:percentile(99)))
end
