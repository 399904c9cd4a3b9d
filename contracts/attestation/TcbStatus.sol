// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice What Intel says of a trusted computing base, from good to bad.
enum TcbStatus {
    UpToDate,
    SWHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSWHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    Revoked
}
