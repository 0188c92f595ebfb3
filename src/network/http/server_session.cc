#include "network/http/session.h"

namespace tepal::http {

std::unique_ptr<Session> NewServerSession(const Limits& limits, SessionHost& host,
                                          RequestHandler& handler) {
  return NewHttp1ServerSession(limits, host, handler);
}

}  // namespace tepal::http
