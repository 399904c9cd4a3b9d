// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Types of EIP-712 are hashed when this is compiled.
// solhint-disable gas-small-strings

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BatchTree} from "./BatchTree.sol";
import {IBlobPayments} from "./IBlobPayments.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {ISamplingRewards} from "./ISamplingRewards.sol";

/// @title Paying for blobs
/// @notice Immutable; its balance is the sum of all accounts. Prices are governed, and a rise needs no notice: a promise carries its own fee, which nothing
/// here compares with a price. Signers do before they sign, so that a promise which no longer offers enough is never redeemed.
/// @dev A promise counts once by its hash, not by its nonce: a nonce could be used up by another promise of the same payer to itself, for any blob.
contract BlobPayments is IBlobPayments, AccessManaged, EIP712 {
    /// One slot. No amount overflows, as the balance of the contract fits 96 bits.
    struct Account {
        uint96 available;
        uint96 withdrawing;
        uint64 withdrawableAt;
    }

    struct Prices {
        uint128 blob;
        uint128 perKiB;
    }

    uint256 private constant BASIS_POINTS = 10_000;
    uint256 private constant MIN_LOCK_TIME = 1 minutes;
    uint256 private constant MAX_LOCK_TIME = 30 days;
    uint256 private constant KIB = 1024;
    bytes32 private constant PROMISE_TYPE = keccak256(
        "PaymentPromise(address payer,address disperser,bytes32 blobId,uint128 fee,uint64 nonce,uint64 deadline)"
    );

    IDACertificates public immutable dataAvailability;
    ISamplingRewards public immutable rewards;
    /// @inheritdoc IBlobPayments
    uint64 public immutable lockTime;
    /// @inheritdoc IBlobPayments
    uint16 public immutable disperserShare;

    Prices private _prices;
    mapping(address account => Account) private _accounts;
    mapping(bytes32 hash => bool) private _redeemed;

    /// @param authority the AccessManager
    /// @param dataAvailability_ certifies batches
    /// @param rewards_ gets the signers' part of the fees
    constructor(
        address authority,
        address dataAvailability_,
        address rewards_,
        PaymentParameters memory parameters
    ) AccessManaged(authority) EIP712("Perigee Data Availability", "1") {
        _bound("lockTime", parameters.lockTime, MIN_LOCK_TIME, MAX_LOCK_TIME);
        _bound("disperserShare", parameters.disperserShare, 0, BASIS_POINTS);
        dataAvailability = IDACertificates(dataAvailability_);
        rewards = ISamplingRewards(rewards_);
        lockTime = parameters.lockTime;
        disperserShare = parameters.disperserShare;
        _setPrices(parameters.blobPrice, parameters.pricePerKiB);
    }

    // ---- payers

    /// @inheritdoc IBlobPayments
    function deposit(address account) external payable {
        require(msg.value != 0, ZeroAmount());
        require(address(this).balance <= type(uint96).max, DepositTooLarge(msg.value));
        _accounts[account].available += uint96(msg.value);
        emit Deposited(account, msg.sender, msg.value);
    }

    /// @inheritdoc IBlobPayments
    function requestWithdrawal(uint128 amount) external {
        require(amount != 0, ZeroAmount());
        Account storage account = _accounts[msg.sender];
        uint256 available = account.available;
        require(amount <= available, InsufficientBalance(available, amount));
        uint64 withdrawableAt = uint64(block.timestamp) + lockTime;
        account.available = uint96(available - amount);
        account.withdrawing += uint96(amount);
        account.withdrawableAt = withdrawableAt;
        emit WithdrawalRequested(msg.sender, amount, withdrawableAt);
    }

    /// @inheritdoc IBlobPayments
    function withdraw(address payable to) external returns (uint256 amount) {
        Account storage account = _accounts[msg.sender];
        uint64 withdrawableAt = account.withdrawableAt;
        require(block.timestamp >= withdrawableAt, NotDue(withdrawableAt));
        amount = account.withdrawing;
        require(amount != 0, ZeroAmount());
        account.withdrawing = 0;
        emit Withdrawn(msg.sender, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferRejected(to, amount));
    }

    // ---- promises

    /// @inheritdoc IBlobPayments
    function redeem(bytes32 batchRoot, Redemption[] calldata redemptions) external returns (Outcome[] memory outcomes) {
        (, uint64 certifiedAt) = dataAvailability.certificateOf(batchRoot);
        require(certifiedAt != 0, NotCertified(batchRoot));
        outcomes = new Outcome[](redemptions.length);
        uint256 ofSigners = 0;
        for (uint256 i = 0; i < redemptions.length; ++i) {
            PaymentPromise calldata terms = redemptions[i].terms;
            bytes32 hash = promiseHash(terms);
            Outcome outcome = _check(batchRoot, certifiedAt, hash, redemptions[i]);
            outcomes[i] = outcome;
            if (outcome != Outcome.Redeemed) {
                emit PromiseRefused(terms.blobId, terms.payer, terms.nonce, outcome);
                continue;
            }
            _redeemed[hash] = true;
            ofSigners += _charge(terms);
            emit PromiseRedeemed(terms.blobId, terms.payer, terms.disperser, terms.nonce, terms.fee);
        }
        if (ofSigners != 0) rewards.fund{value: ofSigners}();
    }

    /// The only foreign code that runs is that of a payer that is a contract, and it can't change anything. It can use up the gas of the call: whoever
    /// redeems leaves such a promise out.
    function _check(
        bytes32 batchRoot,
        uint256 certifiedAt,
        bytes32 hash,
        Redemption calldata redemption
    ) private view returns (Outcome) {
        PaymentPromise calldata terms = redemption.terms;
        if (block.timestamp > terms.deadline) return Outcome.Expired;
        // Or an old certificate of the same blob would do for a promise to disperse it again.
        if (certifiedAt + lockTime < terms.deadline) return Outcome.CertificateTooOld;
        if (_redeemed[hash]) return Outcome.AlreadyRedeemed;
        if (!BatchTree.verify(batchRoot, terms.blobId, redemption.index, redemption.proof)) return Outcome.NotInBatch;
        if (!_isSigned(terms.payer, hash, redemption.signature)) return Outcome.InvalidSignature;
        Account storage account = _accounts[terms.payer];
        if (terms.fee > uint256(account.available) + account.withdrawing) return Outcome.InsufficientBalance;
        return Outcome.Redeemed;
    }

    /// A key's signature counts also where its account has code: it could give itself some that denies what it signed (EIP-7702).
    function _isSigned(address payer, bytes32 hash, bytes calldata signature) private view returns (bool) {
        if (signature.length == 0 && payer == msg.sender) return true;
        (address signer, ECDSA.RecoverError failed, ) = ECDSA.tryRecoverCalldata(hash, signature);
        if (failed == ECDSA.RecoverError.NoError && signer == payer) return true;
        return SignatureChecker.isValidERC1271SignatureNowCalldata(payer, hash, signature);
    }

    /// Takes the fee from what is available, then from what was asked back, and gives what of it is the signers'.
    function _charge(PaymentPromise calldata terms) private returns (uint256 ofSigners) {
        Account storage payer = _accounts[terms.payer];
        uint256 fee = terms.fee;
        // No more than both together, as was checked.
        unchecked {
            uint256 available = payer.available;
            uint256 ofAvailable = Math.min(fee, available);
            payer.available = uint96(available - ofAvailable);
            if (ofAvailable != fee) payer.withdrawing -= uint96(fee - ofAvailable);
            uint256 ofDisperser = (fee * disperserShare) / BASIS_POINTS;
            _accounts[terms.disperser].available += uint96(ofDisperser);
            return fee - ofDisperser;
        }
    }

    // ---- prices

    /// @inheritdoc IBlobPayments
    function setPrices(uint128 blobPrice, uint128 pricePerKiB) external restricted {
        _setPrices(blobPrice, pricePerKiB);
    }

    function _setPrices(uint128 blobPrice, uint128 pricePerKiB) private {
        _prices = Prices({blob: blobPrice, perKiB: pricePerKiB});
        emit PriceChanged(blobPrice, pricePerKiB);
    }

    // ---- reading

    /// @inheritdoc IBlobPayments
    function priceOf(uint8 log2K, uint32 rowSize) external view returns (uint256) {
        uint256 kibibytes = Math.ceilDiv(uint256(rowSize) << log2K, KIB);
        return _prices.blob + _prices.perKiB * kibibytes;
    }

    /// @inheritdoc IBlobPayments
    function prices() external view returns (uint128 blobPrice, uint128 pricePerKiB) {
        return (_prices.blob, _prices.perKiB);
    }

    /// @inheritdoc IBlobPayments
    function balanceOf(address account) external view returns (Balance memory) {
        Account storage $ = _accounts[account];
        return Balance({available: $.available, withdrawing: $.withdrawing, withdrawableAt: $.withdrawableAt});
    }

    /// @inheritdoc IBlobPayments
    function promiseHash(PaymentPromise calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(PROMISE_TYPE, terms)));
    }

    /// @inheritdoc IBlobPayments
    function isRedeemed(bytes32 hash) external view returns (bool) {
        return _redeemed[hash];
    }

    function _bound(bytes32 name, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, InvalidParameter(name, value, min, max));
    }
}
