// SPDX-License-Identifier: MIT
// The look-up of silent.invalid never ends; all others are those of the C library.
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>

#include <string_view>

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** found) {
  if (node != nullptr && std::string_view(node) == "silent.invalid") ::poll(nullptr, 0, -1);
  static const auto real = reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, found);
}
