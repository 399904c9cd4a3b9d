// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Keys that live in attested trusted execution environments
/// @notice A signer counts because this chain verified the quote of the code that holds its key; nobody's word is asked.
interface ITeeSignerRegistry {
    struct TeeSigner {
        /// keccak256(MRTD ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID): what runs.
        bytes32 measurement;
        /// The platform's PCK, by keccak256 of its public key: where it runs.
        bytes32 platform;
        /// X25519 public key, to encrypt to this code; 0 if it has none.
        bytes32 encryptionKey;
        /// SHA-256 of the SubjectPublicKeyInfo of its TLS key; 0 if it has none.
        bytes32 tlsKey;
        uint64 registeredAt;
        /// Unix seconds at which the registration, or something it rests on, expires.
        uint64 until;
        /// As Intel names it: 0 UpToDate, 1 SWHardeningNeeded.
        uint8 tcbStatus;
        bool revoked;
    }

    event SignerRegistered(
        address indexed signer,
        bytes32 indexed measurement,
        bytes32 encryptionKey,
        bytes32 tlsKey,
        uint64 until,
        uint8 tcbStatus
    );
    event SignerRevoked(address indexed signer);

    /// @notice Until when (unix seconds) `signer` counts as attested, which may be in the past; 0 if it never registered, was revoked, or if its
    /// measurement or platform no longer is acceptable. Costs at most three cold reads: made to be asked at every use.
    function attestedUntil(address signer) external view returns (uint64);
    /// @notice All that was proven of `signer`; zeros if it never registered.
    function signerOf(address signer) external view returns (TeeSigner memory);
}
