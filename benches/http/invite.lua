-- The request that benches/compare has wrk send, with the caller's token from the environment; and a line with what came of it.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
wrk.body = '{"conv_id":"5f3c2a1b9e8d7c6b5a493827","members":["mary","nina","oscar"]}'

function done(summary, latency)
    local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write +
        summary.errors.timeout
    io.write(string.format("RESULT %d %d %d %.0f\n", summary.requests, summary.duration, failed, latency:percentile(99)))
end
