// The floor for comparisons: the least an HTTP/1.1 server on one thread can do.
//
// One epoll instance, one read and one write for each request, no parsing beyond the end of the
// head and Content-Length, a fixed answer. A request that is larger than one read is received into
// memory that is there already and answered by as many bytes of it, without looking at one of them;
// with that connection alone meanwhile. It is not a server: it checks nothing and has no limits.
//
//   epoll_floor PORT   listens on 127.0.0.1 (0: any free port) and prints "listening on PORT"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";

constexpr size_t kReadBytes = 65536;

struct Connection {
  int descriptor;
  std::string pending;  // Of a request that has not come whole; nearly always empty.
  std::vector<char> large;
};

size_t ContentLength(std::string_view head) {
  for (const std::string_view name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
    const size_t at = head.find(name);
    if (at == std::string_view::npos) continue;
    return std::strtoull(head.data() + at + name.size(), nullptr, 10);
  }
  return 0;
}

// Bytes of the first whole request in `data`; 0 when it goes on.
size_t RequestSize(std::string_view data) {
  const size_t head_end = data.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return 0;
  const size_t size = head_end + 4 + ContentLength(data.substr(0, head_end + 4));
  return size <= data.size() ? size : 0;
}

// Answers every whole request of `data` and takes it off.
bool Answer(int descriptor, std::string_view& data) {
  while (const size_t size = RequestSize(data)) {
    data.remove_prefix(size);
    const ssize_t sent = send(descriptor, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(kAnswer.size())) return false;
  }
  return true;
}

// The whole size of a request whose head is in `data` and which is larger than a read; 0 otherwise.
size_t LargeRequestSize(std::string_view data) {
  const size_t head_end = data.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return 0;
  const size_t size = head_end + 4 + ContentLength(data.substr(0, head_end + 4));
  return size > kReadBytes ? size : 0;
}

bool ServeLarge(Connection& connection, size_t size, size_t received) {
  std::vector<char>& memory = connection.large;
  if (memory.size() < size) memory.resize(size);
  const ssize_t got =
      recv(connection.descriptor, memory.data() + received, size - received, MSG_WAITALL);
  if (got != static_cast<ssize_t>(size - received)) return false;
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
  std::array<iovec, 2> pieces = {iovec{const_cast<char*>(head.data()), head.size()},
                                 iovec{memory.data(), size}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  const ssize_t sent = sendmsg(connection.descriptor, &message, MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(head.size() + size);
}

// False when the connection is over.
bool Serve(Connection& connection) {
  static std::array<char, kReadBytes> scratch;
  const ssize_t got = recv(connection.descriptor, scratch.data(), scratch.size(), 0);
  if (got <= 0) return false;
  std::string_view data(scratch.data(), static_cast<size_t>(got));
  if (connection.pending.empty()) {
    if (const size_t size = LargeRequestSize(data)) {
      return ServeLarge(connection, size, data.size());
    }
    if (!Answer(connection.descriptor, data)) return false;
    connection.pending = data;
    return true;
  }
  connection.pending += data;
  data = connection.pending;
  const bool goes_on = Answer(connection.descriptor, data);
  connection.pending.erase(0, connection.pending.size() - data.size());
  return goes_on;
}

int Listen(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 1024) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("epoll_floor");
    std::exit(1);
  }
  std::printf("listening on %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

void Watch(int epoll, int descriptor, void* what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = what;
  epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

}  // namespace

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 0;
  const int listener = Listen(static_cast<uint16_t>(port));
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, listener, nullptr);
  std::array<epoll_event, 256> events;
  while (true) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if (connection == nullptr) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) continue;
        const int on = 1;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        Watch(epoll, accepted,
              std::make_unique<Connection>(Connection{accepted, {}, {}}).release());
      } else if (!Serve(*connection)) {
        const std::unique_ptr<Connection> over(connection);
        close(over->descriptor);
      }
    }
  }
}
