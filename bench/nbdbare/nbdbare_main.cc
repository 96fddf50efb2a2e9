// SPDX-License-Identifier: Apache-2.0
//
//   nbdbare --socket PATH --image FILE [--hop]: serves one client after the other until it is
//   ended.
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include "bench/nbdbare/greeting.h"
#include "bench/nbdbare/transmission.h"

namespace atl::nbdbare {
namespace {

namespace po = boost::program_options;

constexpr int kSendBufferBytes = 2 * kMiB;

Result<Fd> Listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Status(Code::kInvalid, fmt::format("'{}' is no path of a Unix socket", path));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Status::FromErrno(errno, "socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::FromErrno(errno, "bind " + path);
  }
  if (listen(fd.get(), 16) != 0) return Status::FromErrno(errno, "listen " + path);
  return fd;
}

Status ServeOne(const Fd& listener, const Image& image, Hop* hop) {
  const Fd client(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) return Status::FromErrno(errno, "accept");
  setsockopt(client.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  const Result<bool> structured = Greet(client.get(), image.size());
  Status status = structured.status();
  if (status.ok()) status = Transmission(client.get(), *structured, image, hop).Run();
  // A client that does not behave, or is gone, is no reason to end.
  if (status.code() != Code::kCancelled) fmt::print(stderr, "nbdbare: {}\n", status.ToString());
  return {};
}

Status Serve(const std::string& socket, const std::string& path, bool hops) {
  ASSIGN_OR_RETURN(const Image image, Image::Open(path));
  std::optional<Hop> hop;
  if (hops) hop.emplace(image);
  ASSIGN_OR_RETURN(const Fd listener, Listen(socket));
  for (;;) RETURN_IF_ERROR(ServeOne(listener, image, hop ? &*hop : nullptr));
}

int Main(int argc, char** argv) {
  std::string socket, image;
  po::options_description options("nbdbare: the least that an NBD server can do over a raw file");
  auto add = options.add_options();
  add("help", "this text");
  add("socket", po::value(&socket)->required(), "where clients come; it must not be there yet");
  add("image", po::value(&image)->required(), "the file");
  add("hop", "reads are made by another process");
  po::variables_map values;
  try {
    po::store(po::parse_command_line(argc, argv, options), values);
    if (values.contains("help")) {
      std::cout << options;
      return 0;
    }
    po::notify(values);
  } catch (const std::exception& error) {
    fmt::print(stderr, "nbdbare: {}\n", error.what());
    return 2;
  }
  const Status status = Serve(socket, image, values.contains("hop"));
  fmt::print(stderr, "nbdbare: {}\n", status.ToString());
  return 1;
}

}  // namespace
}  // namespace atl::nbdbare

int main(int argc, char** argv) { return atl::nbdbare::Main(argc, argv); }
