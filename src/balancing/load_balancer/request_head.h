// What the balancer does to the head of a request, and writes down of it.

#pragma once

#include "balancing/load_balancer/access_log.h"
#include "core/env/random.h"
#include "network/http/message.h"

namespace tepal::lb {

// Before it is passed on: x-request-id when the client has given none that a log can take,
// x-forwarded-for and x-forwarded-proto.
void PrepareHead(http::RequestHead& head, env::Random& random);

// What the head alone says; the texts are the head's.
AccessEntry EntryOf(const http::RequestHead& head);

}  // namespace tepal::lb
