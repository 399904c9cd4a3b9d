// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {TcbStatus} from "./TcbStatus.sol";

/// @notice What is kept of a registered signer beside its keys, in one slot: it is written by every registration and read at every use.
///
///     from the high end: until (40, unix seconds; 0 = ended) ‖ registered at (40) ‖ block of the freshness (40) ‖ attestation key (40, its position in the
///     collateral registry) ‖ measurement (32, its position) ‖ verifier (8, its position) ‖ TCB status (7) ‖ revoked (1) ‖ TEE_TCB_SVN (48)
type Registration is uint256;

using {
    until,
    registeredAt,
    freshBlock,
    attestationKey,
    measurement,
    verifier,
    tcbStatus,
    isRevoked,
    tcbSvn,
    ended,
    revoked
} for Registration global;

/// @dev Numbers have to fit. Of TEE_TCB_SVN the first six bytes are kept: Intel uses three. A recheck takes the others for zeros, which never is to a
/// platform's advantage.
function registration(
    uint256 until_,
    uint256 registeredAt_,
    uint256 freshBlock_,
    uint256 attestationKey_,
    uint256 measurement_,
    uint256 verifier_,
    TcbStatus status,
    bytes16 tcbSvn_
) pure returns (Registration) {
    uint256 times = (until_ << 216) | (registeredAt_ << 176) | (freshBlock_ << 136);
    uint256 positions = (attestationKey_ << 96) | (measurement_ << 64) | (verifier_ << 56);
    return Registration.wrap(times | positions | (uint256(status) << 49) | uint48(bytes6(tcbSvn_)));
}

function until(Registration self) pure returns (uint64) {
    return uint40(Registration.unwrap(self) >> 216);
}

function registeredAt(Registration self) pure returns (uint64) {
    return uint40(Registration.unwrap(self) >> 176);
}

function freshBlock(Registration self) pure returns (uint256) {
    return uint40(Registration.unwrap(self) >> 136);
}

function attestationKey(Registration self) pure returns (uint40) {
    return uint40(Registration.unwrap(self) >> 96);
}

function measurement(Registration self) pure returns (uint32) {
    return uint32(Registration.unwrap(self) >> 64);
}

function verifier(Registration self) pure returns (uint8) {
    return uint8(Registration.unwrap(self) >> 56);
}

function tcbStatus(Registration self) pure returns (TcbStatus) {
    return TcbStatus((Registration.unwrap(self) >> 49) & 0x7f);
}

function isRevoked(Registration self) pure returns (bool) {
    return (Registration.unwrap(self) >> 48) & 1 != 0;
}

function tcbSvn(Registration self) pure returns (bytes16) {
    return bytes6(uint48(Registration.unwrap(self)));
}

/// @dev The same, no longer in force.
function ended(Registration self) pure returns (Registration) {
    return Registration.wrap((Registration.unwrap(self) << 40) >> 40);
}

/// @dev The same, no longer in force, for ever.
function revoked(Registration self) pure returns (Registration) {
    return Registration.wrap(Registration.unwrap(ended(self)) | (1 << 48));
}
