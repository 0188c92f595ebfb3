// Where an inference's time went, for the client that asks with the field `tepal-timing: 1`, or for
// all of them (--http-server-timing).
//
// Told in the standard field Server-Timing (W3C), which browsers show: milliseconds with three
// decimals, so that a microsecond can be read.
//
//   Server-Timing: receive;dur=0.021, queue;dur=0.310, input;dur=0.004, infer;dur=1.250,
//     output;dur=0.008
//
// receive: from the head of the request until it is given to its model; queue: until an instance
// takes it; input, infer, output: as the backend tells them, left out where it does not.

#pragma once

#include <string>

#include "network/http/headers.h"
#include "serving/inference/request.h"

namespace tepal {

bool AsksServerTiming(const http::Headers& request);

std::string ServerTiming(const RequestTimes& times);

}  // namespace tepal
