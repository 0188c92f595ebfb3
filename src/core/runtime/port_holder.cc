#include "core/runtime/port_holder.h"

#include <dirent.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <set>
#include <sstream>

#include "core/base/text.h"

namespace tepal::runtime {
namespace {

// A line of /proc/net/tcp (proc(5)): "sl local_address rem_address st tx:rx tr:when retrnsmt uid
// timeout inode ...", the address as hexadecimal ADDRESS:PORT, state 0A for LISTEN.
constexpr std::string_view kListening = "0A";

void AddListenerInodes(const char* table, uint16_t port, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
        timeout >> inode;
    const size_t colon = local.rfind(':');
    if (!fields || state != kListening || colon == std::string::npos) continue;
    if (std::stoul(local.substr(colon + 1), nullptr, 16) == port) inodes.insert(inode);
  }
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

bool HoldsOneOf(const std::string& descriptors, const std::set<std::string>& links) {
  const Directory directory(opendir(descriptors.c_str()));
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory.get())) {
    char link[64];
    const std::string path = descriptors + "/" + entry->d_name;
    const ssize_t size = readlink(path.c_str(), link, sizeof(link));
    if (size > 0 && links.count(std::string(link, static_cast<size_t>(size))) != 0) return true;
  }
  return false;
}

}  // namespace

std::string DescribePortHolder(const env::Address& address) {
  std::set<std::string> inodes;
  AddListenerInodes("/proc/net/tcp", address.port, inodes);
  AddListenerInodes("/proc/net/tcp6", address.port, inodes);
  std::set<std::string> links;
  for (const std::string& inode : inodes) links.insert("socket:[" + inode + "]");
  const Directory processes(opendir("/proc"));
  if (links.empty() || processes == nullptr) return "";
  while (const dirent* entry = readdir(processes.get())) {
    if (!ParseNumber<int>(entry->d_name)) continue;
    const std::string process = std::string("/proc/") + entry->d_name;
    if (!HoldsOneOf(process + "/fd", links)) continue;
    std::string name;
    std::ifstream comm(process + "/comm");
    std::getline(comm, name);
    return Concat("process ", entry->d_name, " (", name, ")");
  }
  return "";
}

}  // namespace tepal::runtime
