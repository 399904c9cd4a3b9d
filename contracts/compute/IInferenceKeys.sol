// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice Limits that a user sets for one of her API keys at one provider.
struct KeyLimit {
    /// Wei that the key may spend in all; 0 = no cap.
    uint128 cap;
    /// Unix seconds; 0 = never.
    uint48 expiresAt;
    /// Unix seconds at which this was set; 0 = no limits.
    uint48 since;
    /// keccak256 of the model hashes (keccak256 of each name, 32 bytes each, in the order given); 0 = any model.
    bytes32 modelsHash;
}

/// @title API keys: what a user's keys may do, and that they may no longer
/// @notice A key is a number from 0 to 254; 255 stands for sessions. Providers enforce this; receipts prove where one did not.
interface IInferenceKeys {
    event TokenRevoked(address indexed user, address indexed provider, uint8 tokenId);
    event TokensRevoked(address indexed user, address indexed provider, uint8[] tokenIds);
    event AllTokensRevoked(address indexed user, address indexed provider, uint256 newGeneration);
    event KeyLimitSet(
        address indexed user,
        address indexed provider,
        uint8 indexed tokenId,
        uint256 cap,
        uint256 expiresAt,
        bytes32[] modelHashes
    );

    /// 255 stands for sessions, which are not keys.
    error InvalidTokenId(uint8 tokenId);
    error TooManyModels(uint256 count, uint256 max);

    /// @notice The caller's key no longer counts at `provider`, even if her sub-account is closed and opened again. Reverts InvalidTokenId.
    function revokeToken(address provider, uint8 tokenId) external;
    /// @notice Revokes several of the caller's keys at once.
    function revokeTokens(address provider, uint8[] calldata tokenIds) external;
    /// @notice None of the caller's keys and sessions counts at `provider` any more. Ids can be used again.
    function revokeAllTokens(address provider) external;
    /// @notice Whether a key was revoked since the last time that all were.
    function isTokenRevoked(address user, address provider, uint8 tokenId) external view returns (bool);
    /// @notice Limits what the caller's key `tokenId` may do at `provider`, from now on. Empty `modelHashes` = any model. Reverts InvalidTokenId,
    /// TooManyModels.
    function setKeyLimit(
        address provider,
        uint8 tokenId,
        uint128 cap,
        uint48 expiresAt,
        bytes32[] calldata modelHashes
    ) external;
    /// @notice What the user allows a key; zeros if she set no limit.
    function keyLimit(address user, address provider, uint8 tokenId) external view returns (KeyLimit memory);
}
